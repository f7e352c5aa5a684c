package lbproxy

import (
	"bytes"
	"io"
	"net/http"
	"time"
)

// heldBody is the body of an answer that another one is wanted for. It is read ahead, so that its connection is free meanwhile, and can still be
// given to the client if there is no other answer to be had.
type heldBody struct {
	src   io.ReadCloser
	ahead bytes.Buffer
	err   error // that ended src; nil when there is more than was read ahead
	done  chan struct{}
}

// holdBody reads up to drainBytes of src ahead, on a goroutine of its own.
func holdBody(src io.ReadCloser) *heldBody {
	b := &heldBody{src: src, done: make(chan struct{})}
	go func() {
		defer close(b.done)
		_, b.err = io.CopyN(&b.ahead, src, drainBytes)
	}()
	return b
}

// Read implements io.Reader.
func (b *heldBody) Read(p []byte) (int, error) {
	<-b.done
	if b.ahead.Len() > 0 {
		return b.ahead.Read(p)
	}
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
