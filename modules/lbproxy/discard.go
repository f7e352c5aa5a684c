package lbproxy

import (
	"errors"
	"net/http"
)

// discard is the client of an answer that nobody wants. It takes up to limit bytes of a body.
type discard struct {
	header http.Header
	status int // of the final answer; 0 when there was none
	limit  int64
}

// errEnough ends an answer that is discarded and goes on for too long.
var errEnough = errors.New("enough of an answer that nobody reads")

// Header implements http.ResponseWriter.
func (w *discard) Header() http.Header { return w.header }

// WriteHeader implements http.ResponseWriter.
func (w *discard) WriteHeader(status int) {
	if w.status == 0 && status >= http.StatusOK {
		w.status = status
	}
}

// Write implements http.ResponseWriter.
func (w *discard) Write(p []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	if w.limit -= int64(len(p)); w.limit < 0 {
		return 0, errEnough
	}
	return len(p), nil
}

// Flush implements http.Flusher.
func (w *discard) Flush() {}
