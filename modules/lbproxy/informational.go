package lbproxy

import (
	"maps"
	"net/http"
)

// Interim passes an interim answer (1xx) on to the client (RFC 9110, section 15.2).
func (a *attempt) Interim(code int, header http.Header) error {
	if a.quiet {
		return nil
	}
	if code == http.StatusContinue && a.expects() {
		// The body is read now, and it is that read which makes the server send its own 100.
		return nil
	}
	h := a.ex.w.Header()
	own := h.Clone()
	addEndToEnd(h, header.Clone())
	a.ex.w.WriteHeader(code)
	// The final answer starts from what handlers before this one set.
	clear(h)
	maps.Copy(h, own)
	return nil
}

// expects reports whether the client waits to be told to send its body.
func (a *attempt) expects() bool { return a.ex.body != nil && expectsContinue(a.ex.in.Header) }
