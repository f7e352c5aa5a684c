package lbproxy

import (
	"bytes"
	"io"
	"net/http"
	"sync"
	"time"
)

// heldBody is the body of an answer that another one is wanted for. It is read ahead, so that its connection is free meanwhile, and can still be
// given to the client if there is no other answer to be had.
type heldBody struct {
	src  io.ReadCloser
	done chan struct{} // closed when nothing more is read ahead

	mu    sync.Mutex
	more  *sync.Cond // ahead has more, or ended is set
	ahead bytes.Buffer
	ended bool
	err   error // that ended src; nil when there is more than was read ahead
}

// holdBody reads up to drainBytes of src ahead, on a goroutine of its own.
func holdBody(src io.ReadCloser) *heldBody {
	b := &heldBody{src: src, done: make(chan struct{})}
	b.more = sync.NewCond(&b.mu)
	go b.readAhead()
	return b
}

func (b *heldBody) readAhead() {
	defer close(b.done)
	var part [4 << 10]byte
	for left := drainBytes; ; {
		n, err := b.src.Read(part[:])
		left -= n
		b.mu.Lock()
		b.ahead.Write(part[:n])
		b.ended, b.err = err != nil || left <= 0, err
		b.more.Signal()
		ended := b.ended
		b.mu.Unlock()
		if ended {
			return
		}
	}
}

// Read implements io.Reader. It gives what is there, as any stream does.
func (b *heldBody) Read(p []byte) (int, error) {
	b.mu.Lock()
	for b.ahead.Len() == 0 && !b.ended {
		b.more.Wait()
	}
	if b.ahead.Len() > 0 {
		defer b.mu.Unlock()
		return b.ahead.Read(p)
	}
	b.mu.Unlock()
	if b.err != nil {
		return 0, b.err
	}
	return b.src.Read(p)
}

// Close implements io.Closer.
func (b *heldBody) Close() error { return b.src.Close() }

// hold keeps the attempt's answer for the case that there is no better one, without a place on the backend.
func (a *attempt) hold() {
	a.leave()
	if a.res.Body != http.NoBody {
		a.res.Body = holdBody(a.res.Body)
	}
}

// drop ends an attempt that was held. Its connection is used again if the end of the answer is near.
func (a *attempt) drop() {
	if b, ok := a.res.Body.(*heldBody); ok {
		timer := time.NewTimer(drainTime)
		select {
		case <-b.done:
		case <-timer.C:
		}
		timer.Stop()
	}
	_ = a.res.Body.Close()
	a.release()
}
