package lbproxy

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"sync"
	"time"
)

// keepBytes is how much of a body is kept as it is streamed, so that it can be sent again.
const keepBytes = 64 << 10

// maxPooledBuffer is the capacity up to which a buffer is worth keeping for another request.
const maxPooledBuffer = 256 << 10

var keptBuffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// Errors that readers of a body get, none of them the client's doing.
var (
	// errSuperseded is for a try that is over: the body now belongs to another one.
	errSuperseded = errors.New("the request's body was given to another try")

	// errCut is for whoever reads a body that was cut off, as nobody needs the rest.
	errCut = errors.New("the rest of the request's body is not needed")
)

// requestBody is the client's body. Each try reads it from the start through a reader of its own,
// as long as everything read so far was kept. Transports may go on reading for a moment after their
// round trip ended, so readers of several tries may be there at once; only the latest gets
// anything.
//
// A transport that is done with a body closes its reader, and may wait until its read has ended (as
// that for HTTP/2 does), while the client sends nothing. There are two ways to let it go. A reader
// that reads apart leaves the read of the client's body to a goroutine, which goes on for a later
// try. Any other reader reads it itself, which costs less; closed within that, it cuts the body
// off. It is for bodies that cannot be sent again, and for the engine, which waits for no read.
type requestBody struct {
	src   io.ReadCloser
	w     http.ResponseWriter // has the read deadline that ends a read of src
	from  *http.Request       // whose Trailer is complete once src is read to its end
	limit int                 // bytes kept; negative: all
	left  int64               // bytes that src still has, for whoever reads; negative: not known

	mu      sync.Mutex // guards what follows; never held while src is read
	changed sync.Cond  // a read of src has ended, or the use of a reader
	reading bool       // src is being read, by one goroutine
	kept    *bytes.Buffer
	ahead   *bodyPart // read apart for the current reader, and too much to keep
	lost    bool      // kept is not the whole of what was read
	err     error     // how src ended
	current *bodyReader
	awaited int64 // clientBody's since, when a connection was closed within the read
}

func newRequestBody(w http.ResponseWriter, r *http.Request, src io.ReadCloser, limit int) *requestBody {
	b := &requestBody{src: src, w: w, from: r, limit: limit, left: r.ContentLength}
	b.changed.L = &b.mu
	return b
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

// reader starts the body again for one try and ends the reader before. trailer, which may be nil,
// has the names of the trailers to pass on, whose values are filled in when the end is read.
func (b *requestBody) reader(trailer http.Header) *bodyReader {
	return b.hand(&bodyReader{body: b, trailer: trailer})
}

// readerApart is reader, for one that reads apart.
func (b *requestBody) readerApart(trailer http.Header) *bodyReader {
	return b.hand(&bodyReader{body: b, trailer: trailer, apart: true})
}

// readerKeeping is reader, for one that reads apart until the body cannot be sent again.
func (b *requestBody) readerKeeping(trailer http.Header) *bodyReader {
	return b.hand(&bodyReader{body: b, trailer: trailer, keeping: true})
}

// hand gives the body to r.
func (b *requestBody) hand(r *bodyReader) *bodyReader {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.current = r
	b.dropAhead()
	b.changed.Broadcast()
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
	b.changed.Broadcast()
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

// isRead reports whether somebody reads the client's body just now.
func (b *requestBody) isRead() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.reading
}

// awaitedSince is since when the client was waited for as the connection to the backend was closed,
// if that ended the wait; else 0.
func (b *requestBody) awaitedSince() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.awaited
}

// untouched reports whether nothing of the client's body was read yet, nor is being read.
func (b *requestBody) untouched() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.kept == nil && !b.lost && !b.reading && b.err == nil
}

// failure is the error that ended the client's body before its end; nil when there was none.
func (b *requestBody) failure() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.err == io.EOF || b.err == errCut {
		return nil
	}
	return b.err
}

// cut ends the client's body for good, and with it the read that is under way, at the given time at
// the latest. It reports whether that read ends for sure. The caller holds b.mu.
func (b *requestBody) cut(at time.Time) bool {
	b.lost, b.err = true, errCut
	b.drop()
	// The deadline reaches the client's stream, whatever filters and other handlers have put before
	// it.
	if http.NewResponseController(b.w).SetReadDeadline(at) == nil {
		return true
	}
	go func() { _ = b.src.Close() }() // which may wait for the read
	return false
}

// release ends the body's use and gives the memory back. A read that is under way is ended by the
// given time, since the client's stream must not be read when the handler has returned. It reports
// whether there was one.
func (b *requestBody) release(by time.Time) (cut bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.current, b.lost = nil, true
	b.drop()
	b.changed.Broadcast()
	if !b.reading {
		return false
	}
	for ends := b.cut(by); ends && b.reading; {
		b.changed.Wait()
	}
	return true
}

// atOnce is a deadline that has passed.
var atOnce = time.Unix(1, 0)

func (b *requestBody) drop() {
	if b.kept != nil && b.kept.Cap() <= maxPooledBuffer {
		b.kept.Reset()
		keptBuffers.Put(b.kept)
	}
	b.kept = nil
	b.dropAhead()
}

func (b *requestBody) dropAhead() {
	if b.ahead != nil {
		bodyParts.Put(b.ahead)
		b.ahead = nil
	}
}
