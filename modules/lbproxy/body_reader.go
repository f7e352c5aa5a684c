package lbproxy

import (
	"bytes"
	"io"
	"net/http"
	"slices"
	"sync"
)

// bodyReader is the body as one try reads it. Its methods may be called by any goroutine.
type bodyReader struct {
	body    *requestBody
	trailer http.Header
	apart   bool // the client's body is read by a goroutine of its own
	keeping bool // so it is as long as all that was read is kept, for it may be sent again

	// Guarded by the body's mu.
	offset int
	closed bool
	inside bool         // it reads the client's body itself just now
	conn   *watchedConn // that sends what is read; nil if unknown
}

// bodyPart is memory for what is read apart, as much as a frame of HTTP/2 holds by default.
type bodyPart struct {
	mem  [16 << 10]byte
	rest []byte // what was not taken yet
}

var bodyParts = sync.Pool{New: func() any { return new(bodyPart) }}

// Read implements io.Reader.
func (r *bodyReader) Read(p []byte) (int, error) {
	b := r.body
	b.mu.Lock()
	defer b.mu.Unlock()
	for {
		switch {
		case !b.serves(r):
			return 0, errSuperseded
		case r.conn.end() != nil:
			return 0, r.conn.end()
		case len(p) == 0:
			return 0, nil
		case b.kept != nil && r.offset < b.kept.Len():
			n := copy(p, b.kept.Bytes()[r.offset:])
			r.offset += n
			return n, r.end(r.offset == b.kept.Len())
		case b.ahead != nil:
			return r.takeAhead(p)
		case b.err != nil:
			r.finish()
			return 0, b.err
		case b.reading:
			b.changed.Wait()
		case r.apart, r.keeping && !b.lost:
			b.reading = true
			go b.readApart(r)
		default:
			return r.readSource(p)
		}
	}
}

// serves reports whether r still gets anything. The caller holds b.mu.
func (b *requestBody) serves(r *bodyReader) bool { return r == b.current && !r.closed }

// readSource reads the client's body into p. The caller holds the body's mu.
func (r *bodyReader) readSource(p []byte) (int, error) {
	b := r.body
	b.reading, r.inside = true, true
	b.mu.Unlock()
	n, err := b.next(p)
	b.mu.Lock()
	b.reading, r.inside = false, false
	b.keep(r, p[:n], err)
	b.changed.Broadcast()
	if !b.serves(r) {
		return 0, errSuperseded
	}
	if gone := r.conn.end(); gone != nil {
		return 0, gone
	}
	r.offset += n
	if err != nil {
		r.finish()
	}
	return n, err
}

// readApart reads a part of the client's body for r, or for whoever comes after it.
func (b *requestBody) readApart(r *bodyReader) {
	memory := bodyParts.Get().(*bodyPart)
	n, err := b.next(memory.mem[:])
	b.mu.Lock()
	defer b.mu.Unlock()
	b.reading = false
	if !b.keep(r, memory.mem[:n], err) && n > 0 && b.serves(r) {
		memory.rest = memory.mem[:n]
		b.ahead = memory
	} else {
		bodyParts.Put(memory)
	}
	b.changed.Broadcast()
}

// next reads from the client.
func (b *requestBody) next(p []byte) (int, error) {
	n, err := b.src.Read(p)
	if b.left > 0 {
		// Some readers say that they are at the end only when they are asked again.
		if b.left -= int64(n); b.left == 0 && err == nil {
			err = io.EOF
		}
	}
	return n, err
}

// keep stores what was read for r, and reports whether it is there for later readers. A reader that
// was superseded while it read leaves what it got to its successor, which waits for it; only the
// latest may decide that there is too much to keep. The caller holds b.mu.
func (b *requestBody) keep(r *bodyReader, p []byte, err error) bool {
	if err != nil && b.err == nil {
		b.err = err
	}
	if b.lost {
		return false
	}
	if len(p) == 0 {
		return true
	}
	if b.kept == nil {
		b.kept = keptBuffers.Get().(*bytes.Buffer)
	}
	if b.serves(r) && b.limit >= 0 && b.kept.Len()+len(p) > b.limit {
		b.lost = true
		b.drop()
		return false
	}
	b.kept.Write(p)
	return true
}

// takeAhead reads what was read apart and not kept.
func (r *bodyReader) takeAhead(p []byte) (int, error) {
	b := r.body
	n := copy(p, b.ahead.rest)
	b.ahead.rest = b.ahead.rest[n:]
	r.offset += n
	all := len(b.ahead.rest) == 0
	if all {
		b.dropAhead()
	}
	return n, r.end(all)
}

// end is the body's end, which goes with its last bytes; all says that everything that was read was
// given to r.
func (r *bodyReader) end(all bool) error {
	if !all || r.body.err != io.EOF {
		return nil
	}
	r.finish()
	return io.EOF
}

// finish hands over the trailers, which are there once the body was read to its end.
func (r *bodyReader) finish() {
	if r.trailer == nil || r.body.err != io.EOF {
		return
	}
	for field := range r.trailer {
		r.trailer[field] = slices.Clone(r.body.from.Trailer[field])
	}
	if r.body.from.ProtoMajor > 1 {
		trimValues(r.trailer)
	}
	r.trailer = nil
}

// Close implements io.Closer. A read that is under way ends. The client's body is there for another
// try unless r reads it itself just now; then there is none that could want it.
func (r *bodyReader) Close() error {
	b := r.body
	b.mu.Lock()
	defer b.mu.Unlock()
	if r.closed {
		return nil
	}
	r.closed = true
	r.letGo()
	return nil
}

// letGo ends a read that is under way for the reason that the caller has left. The caller holds the
// body's mu.
func (r *bodyReader) letGo() {
	b := r.body
	if r.inside && r == b.current && b.err == nil {
		b.cut(atOnce)
	}
	b.changed.Broadcast()
}

// sendOver says which connection sends what is read. A transport may take another one when the
// first was closed before anything was read.
func (r *bodyReader) sendOver(c *watchedConn) {
	b := r.body
	b.mu.Lock()
	r.conn = c
	b.mu.Unlock()
}

// wake ends a read that is under way, as its connection is closed. The body remembers that the
// client was waited for.
func (r *bodyReader) wake() {
	b := r.body
	b.mu.Lock()
	defer b.mu.Unlock()
	if client, ok := b.src.(*clientBody); ok && r.inside {
		b.awaited = client.since.Load()
	}
	r.letGo()
}
