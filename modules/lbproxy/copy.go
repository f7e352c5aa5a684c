package lbproxy

import (
	"bytes"
	"io"
	"mime"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// copyBufferSize is the size of the buffers that bodies are copied through.
const copyBufferSize = 64 << 10

// writeAtLeast is how much of a body that nobody asked to flush is written at once, as the server would hold less back itself. The first
// bytes, which came with the header, so go out together with what follows them.
const writeAtLeast = 4 << 10

var copyBuffers = sync.Pool{New: func() any { return new([copyBufferSize]byte) }}

// headerFlushDelay is how long the header of an answer that is flushed at once waits for the first bytes of the
// body, so that both can go out together.
const headerFlushDelay = time.Millisecond

// writeError is an error in writing to the client, as opposed to one in reading from the backend.
type writeError struct{ err error }

func (e *writeError) Error() string { return "writing to the client: " + e.err.Error() }

// Unwrap returns the error of the write.
func (e *writeError) Unwrap() error { return e.err }

// copyBody copies an answer's body to the client. flush is the longest that anything waits in a buffer: 0 leaves
// it to the server, a negative value flushes after each read.
func copyBody(w http.ResponseWriter, src io.Reader, flush time.Duration) error {
	buf := copyBuffers.Get().(*[copyBufferSize]byte)
	defer copyBuffers.Put(buf)
	if flush == 0 {
		return copyAll(w, src, buf[:], writeAtLeast)
	}
	f := flushers.Get().(*flusher)
	f.start(w, flush)
	defer f.stop()
	return copyAll(f, src, buf[:], 1)
}

// copyAll copies src to dst through buf, as much at a time as is there but at least so many bytes, except at the end.
func copyAll(dst io.Writer, src io.Reader, buf []byte, least int) error {
	for {
		n, readErr := src.Read(buf)
		for readErr == nil && n < least {
			var more int
			more, readErr = src.Read(buf[n:])
			n += more
		}
		if n > 0 {
			wrote, err := dst.Write(buf[:n])
			if err == nil && wrote != n {
				err = io.ErrShortWrite
			}
			if err != nil {
				return &writeError{err}
			}
		}
		if readErr == io.EOF {
			return nil
		}
		if readErr != nil {
			return readErr
		}
	}
}

// flushInterval is the longest that anything of the answer waits in a buffer here.
func (ex *exchange) flushInterval(a *attempt, header http.Header, incremental bool) time.Duration {
	switch {
	case incremental, caddyhttp.IsIncremental(header), isEventStream(header), a.res.ContentLength == -1:
		// A body of unknown length may be a stream, such as both directions of a gRPC call.
		return -1
	default:
		return time.Duration(ex.h.FlushInterval)
	}
}

// isEventStream reports whether the answer is a stream of server-sent events.
func isEventStream(header http.Header) bool {
	const eventStream = "text/event-stream"
	v := header["Content-Type"]
	if len(v) == 0 || len(v[0]) < len(eventStream) || !strings.Contains(strings.ToLower(v[0]), eventStream) {
		return false
	}
	kind, _, err := mime.ParseMediaType(v[0])
	return err == nil && kind == eventStream
}

var flushers = sync.Pool{New: func() any { return new(flusher) }}

// flusher writes to the client and flushes: after each write, or at most every so often. The header is flushed,
// too, when the body lets itself be waited for.
type flusher struct {
	mu      sync.Mutex // guards everything; held while writing
	w       http.ResponseWriter
	every   time.Duration
	timer   *time.Timer
	pending bool // the timer is to flush
}

func (f *flusher) start(w http.ResponseWriter, every time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.w, f.every = w, every
	if every < 0 {
		every = headerFlushDelay
	}
	f.schedule(every)
}

// schedule has the timer flush. The caller holds f.mu.
func (f *flusher) schedule(after time.Duration) {
	f.pending = true
	if f.timer == nil {
		f.timer = time.AfterFunc(after, f.flushPending)
	} else {
		f.timer.Reset(after)
	}
}

// Write implements io.Writer.
func (f *flusher) Write(p []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	n, err := f.w.Write(p)
	switch {
	case err != nil:
	case f.every < 0:
		f.pending = false
		_ = http.NewResponseController(f.w).Flush()
	case !f.pending:
		f.schedule(f.every)
	}
	return n, err
}

func (f *flusher) flushPending() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.pending {
		f.pending = false
		_ = http.NewResponseController(f.w).Flush()
	}
}

// stop ends the flusher's use. A timer that fired already finds nothing to do, or a later user's header, which
// is then flushed somewhat early.
func (f *flusher) stop() {
	f.mu.Lock()
	f.timer.Stop()
	f.w, f.pending = nil, false
	f.mu.Unlock()
	flushers.Put(f)
}

// bufferAnswer reads up to limit bytes of an answer's body, all of it for a negative limit, before the client
// gets any. An error comes after what was read before it.
func bufferAnswer(body io.ReadCloser, limit int64) io.ReadCloser {
	var buf bytes.Buffer
	var err error
	if limit < 0 {
		_, err = buf.ReadFrom(body)
	} else {
		_, err = io.CopyN(&buf, body, limit)
	}
	var rest io.Reader = body
	if err != nil && err != io.EOF {
		rest = failingReader{err}
	}
	return struct {
		io.Reader
		io.Closer
	}{io.MultiReader(&buf, rest), body}
}

// failingReader has nothing but an error.
type failingReader struct{ err error }

// Read implements io.Reader.
func (r failingReader) Read([]byte) (int, error) { return 0, r.err }
