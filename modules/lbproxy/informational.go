package lbproxy

import (
	"errors"
	"maps"
	"net/http"
)

// errInterimSwitch is why an interim 101 is refused: only HTTP/1.1 switches protocols, and there
// 101 is the last answer on its connection (RFC 9113, section 8.6).
var errInterimSwitch = errors.New("the backend switches protocols in the middle of an exchange")

// Interim passes an interim answer (1xx) on to the client (RFC 9110, section 15.2). HTTP/1.0 has
// none, and a client that speaks it would take one for the final answer.
func (a *attempt) Interim(code int, header http.Header) error {
	ex := a.ex
	switch {
	case code == http.StatusSwitchingProtocols:
		return newFailure(causeProtocol, errInterimSwitch)
	case a.quiet || !ex.in.ProtoAtLeast(1, 1):
		return nil
	case ex.waiting != nil:
		return ex.waiting.interim(ex, code, header)
	}
	return ex.sendInterim(code, header)
}

// sendInterim sends an interim answer. The client's header is then what it was, for the final
// answer starts from what handlers before this one set.
func (ex *exchange) sendInterim(code int, header http.Header) error {
	ctx := ex.in.Context()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	h := ex.w.Header()
	own := h.Clone()
	if code == http.StatusContinue {
		clear(h) // what handlers set is about an answer, and the servers' own 100 has no fields either
	}
	addEndToEnd(h, header.Clone())
	// The servers of HTTP/2 encode a header on another goroutine, and do not wait for that once the
	// client has reset the stream or left. They take a copy of a header that has one of these
	// fields, which no interim answer is sent with. This map then stays ours.
	h["Content-Length"], h["Transfer-Encoding"] = nil, nil
	ex.w.WriteHeader(code)
	if ctx.Err() != nil {
		// A handler before this one may have removed these fields as it wrapped the writer.
		return ctx.Err()
	}
	clear(h)
	maps.Copy(h, own)
	return nil
}
