package h1server

import (
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// maxDrain is how much of a body that the handler left is read, so that the connection can go on. It is that of net/http.
const maxDrain = 256 << 10

// body is a request's body. Read and Close may be called by any goroutine, also when the request is over.
type body struct {
	x    *exchange
	read atomic.Bool // to its end, or there is none

	// reading is held while something is read.
	reading sync.Mutex
	src     *chunkedBody // nil for a body with a length
	left    int64        // of a body with a length
	err     error        // how it ended; nil until then

	closed    atomic.Bool
	over      atomic.Bool // the request is
	expects   bool        // the client does, to be told to send it (RFC 9110, section 10.1.1)
	continues atomic.Bool // it was not yet
}

// setLength gives the request a body of so many bytes, or none.
func (x *exchange) setLength(n int64) {
	if n == 0 {
		x.body.read.Store(true)
		x.body.err = io.EOF
		x.req.Body = http.NoBody
		return
	}
	x.body.x, x.body.left = x, n
	x.req.Body = &x.body
}

// setBody gives the request the body that its head, which net/http has read, announces.
func (x *exchange) setBody() {
	if x.req.ContentLength >= 0 {
		x.setLength(x.req.ContentLength)
		return
	}
	x.body.x, x.body.src = x, &chunkedBody{x: x}
	x.req.Body = &x.body
}

// isRead reports whether nothing of the body is to come.
func (b *body) isRead() bool { return b.read.Load() }

// Read implements io.Reader. The end comes with the last bytes where it is known.
func (b *body) Read(p []byte) (int, error) {
	b.reading.Lock()
	defer b.reading.Unlock()
	if b.closed.Load() || b.over.Load() {
		return 0, http.ErrBodyReadAfterClose
	}
	return b.more(p)
}

// more is Read for a caller who holds b.reading.
func (b *body) more(p []byte) (int, error) {
	if b.err != nil {
		return 0, b.err
	}
	if len(p) == 0 {
		return 0, nil
	}
	if b.continues.Load() {
		b.x.sendContinue()
	}
	n, err := b.next(p)
	if err != nil {
		b.err = err
		if err == io.EOF {
			b.read.Store(true)
		}
	}
	return n, err
}

func (b *body) next(p []byte) (int, error) {
	if b.src != nil {
		return b.src.Read(p)
	}
	if int64(len(p)) > b.left {
		p = p[:b.left]
	}
	n, err := b.x.c.br.Read(p)
	if b.left -= int64(n); b.left == 0 {
		return n, io.EOF
	}
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// Close implements io.Closer. What was not read is read when the request is over.
func (b *body) Close() error {
	b.closed.Store(true)
	return nil
}

// drain reads what the handler left. It reports false when that is too much, or failed, so that the next request cannot be found.
func (b *body) drain() bool {
	if b.isRead() {
		return true
	}
	b.reading.Lock()
	defer b.reading.Unlock()
	return b.drainLocked()
}

// drainLocked is drain for a caller who holds b.reading.
func (b *body) drainLocked() bool {
	if b.src == nil && b.left >= maxDrain {
		return false
	}
	b.closed.Store(true) // what the handler has not read it will miss
	buf := drainBuffers.Get().(*[drainBufferSize]byte)
	defer drainBuffers.Put(buf)
	for total := 0; total <= maxDrain; {
		n, err := b.more(buf[:])
		total += n
		if err != nil {
			return err == io.EOF
		}
	}
	return false
}

const drainBufferSize = 8 << 10

var drainBuffers = sync.Pool{New: func() any { return new([drainBufferSize]byte) }}

// finish ends the body's use, after reading what is left of it when asked to. It reports whether it was read to its end, so that the
// connection can go on. Whoever still reads gets an error.
func (b *body) finish(drain bool) (complete bool) {
	b.over.Store(true)
	if b.isRead() {
		return true
	}
	free := b.reading.TryLock()
	if !free {
		_ = b.x.c.nc.SetReadDeadline(time.Unix(1, 0))
		b.reading.Lock()
	}
	defer b.reading.Unlock()
	return free && (drain && b.drainLocked() || b.err == io.EOF)
}
