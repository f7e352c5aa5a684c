package lbproxy

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"slices"
	"sync"
)

// keepBytes is how much of a body is kept as it is streamed, so that it can be sent again.
const keepBytes = 64 << 10

// maxPooledBuffer is the capacity up to which a buffer is worth keeping for another request.
const maxPooledBuffer = 256 << 10

var keptBuffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// errSuperseded is read by a try that is over from the body that now belongs to another one.
var errSuperseded = errors.New("the request's body was given to another try")

// requestBody is the client's body. Each try reads it from the start through a reader of its own, as long as
// everything read so far was kept. Transports may go on reading for a moment after their round trip ended, so
// readers of several tries may be there at once; only the latest gets anything.
type requestBody struct {
	src   io.ReadCloser
	from  *http.Request // whose Trailer is complete once src is read to its end
	limit int           // bytes kept; negative: all

	reading sync.Mutex // held while src is read
	left    int64      // bytes that src still has; negative when that is not known

	mu      sync.Mutex // guards what follows; never held while src is read
	kept    *bytes.Buffer
	lost    bool  // kept is not the whole of what was read
	err     error // how src ended
	current *bodyReader
}

func newRequestBody(r *http.Request, src io.ReadCloser, limit int) *requestBody {
	return &requestBody{src: src, from: r, limit: limit, left: r.ContentLength}
}

// fill reads src up to more than limit bytes or to its end, and reports its length when that was reached.
func (b *requestBody) fill() (length int64, complete bool, err error) {
	b.kept = keptBuffers.Get().(*bytes.Buffer)
	if b.limit < 0 {
		_, err = b.kept.ReadFrom(b.src)
	} else {
		_, err = io.CopyN(b.kept, b.src, int64(b.limit)+1)
	}
	b.left -= int64(b.kept.Len())
	switch {
	case err == nil && b.limit >= 0:
		return 0, false, nil
	case err == nil, err == io.EOF:
		b.err = io.EOF
		return int64(b.kept.Len()), true, nil
	default:
		b.err = err
		return 0, false, err
	}
}

// reader starts the body again for one try and ends the reader before. trailer, which may be nil, has the names of
// the trailers to pass on, whose values are filled in when the end is read.
func (b *requestBody) reader(trailer http.Header) *bodyReader {
	r := &bodyReader{body: b, trailer: trailer}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.current = r
	return r
}

// replayable reports whether a new reader can give the whole body now. The latest one may come to read more than is kept.
func (b *requestBody) replayable() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return !b.lost
}

// reclaim ends the latest reader and reports whether a new one can give the whole body. What a read gets that is under way is kept for
// the new one, however much it is.
func (b *requestBody) reclaim() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.lost {
		return false
	}
	b.current = nil
	return true
}

// copy is a copy of the whole body; false when it was not kept, or not read to its end.
func (b *requestBody) copy() (body []byte, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.lost || b.err != io.EOF:
		return nil, false
	case b.kept == nil:
		return nil, true
	}
	return bytes.Clone(b.kept.Bytes()), true
}

// complete reports whether the client's body was read to its end.
func (b *requestBody) complete() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.err == io.EOF
}

// failure is the error that ended the client's body before its end; nil when there was none.
func (b *requestBody) failure() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.err == io.EOF {
		return nil
	}
	return b.err
}

// release ends the latest reader and gives the memory back.
func (b *requestBody) release() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.current, b.lost = nil, true
	b.drop()
}

func (b *requestBody) drop() {
	if b.kept != nil && b.kept.Cap() <= maxPooledBuffer {
		b.kept.Reset()
		keptBuffers.Put(b.kept)
	}
	b.kept = nil
}

// keep stores what r read. A reader that was superseded while it read leaves what it got to its successor, which
// waits for it; only the latest may decide that there is too much to keep.
func (b *requestBody) keep(r *bodyReader, p []byte, err error) {
	if err != nil {
		b.err = err
	}
	if len(p) == 0 || b.lost {
		return
	}
	if b.kept == nil {
		b.kept = keptBuffers.Get().(*bytes.Buffer)
	}
	if r == b.current && b.limit >= 0 && b.kept.Len()+len(p) > b.limit {
		b.lost = true
		b.drop()
		return
	}
	b.kept.Write(p)
}

// bodyReader is the body as one try reads it.
type bodyReader struct {
	body    *requestBody
	trailer http.Header
	offset  int
}

// Read implements io.Reader.
func (r *bodyReader) Read(p []byte) (int, error) {
	if n, ok, err := r.fromKept(p); ok {
		return n, err
	}
	b := r.body
	b.reading.Lock()
	defer b.reading.Unlock()
	// Another reader may have been at it.
	if n, ok, err := r.fromKept(p); ok {
		return n, err
	}
	n, err := b.src.Read(p)
	if b.left > 0 {
		// Some readers say that they are at the end only when they are asked again.
		if b.left -= int64(n); b.left == 0 && err == nil {
			err = io.EOF
		}
	}

	b.mu.Lock()
	defer b.mu.Unlock()
	b.keep(r, p[:n], err)
	r.offset += n
	if err != nil {
		r.finish()
	}
	return n, err
}

// fromKept reads what was read before. ok is false when the client has to be asked.
func (r *bodyReader) fromKept(p []byte) (n int, ok bool, err error) {
	b := r.body
	b.mu.Lock()
	defer b.mu.Unlock()
	if r != b.current {
		return 0, true, errSuperseded
	}
	if b.kept != nil && r.offset < b.kept.Len() {
		n = copy(p, b.kept.Bytes()[r.offset:])
		r.offset += n
		return n, true, nil
	}
	if b.err != nil {
		r.finish()
		return 0, true, b.err
	}
	return 0, false, nil
}

// finish hands over the trailers, which are there once the body was read to its end.
func (r *bodyReader) finish() {
	if r.trailer == nil || r.body.err != io.EOF {
		return
	}
	for field := range r.trailer {
		r.trailer[field] = slices.Clone(r.body.from.Trailer[field])
	}
	r.trailer = nil
}

// Close implements io.Closer. The client's body itself is closed by the server.
func (r *bodyReader) Close() error { return nil }
