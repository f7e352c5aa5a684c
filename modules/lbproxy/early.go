package lbproxy

import (
	"io"
	"net/http"
	"time"

	"github.com/caddylb/caddy-lb/internal/h1server"
)

// lingerTime is how long the rest of a body is taken in behind an answer that did not wait for it.
const lingerTime = 500 * time.Millisecond

// allowEarlyAnswer lets the answer go out while the client still sends its body. Without that, net/http's server
// takes the rest of an HTTP/1 body for itself, away from the backend that may be reading it. The connection ends
// with such an answer: the server cannot find the next request behind a body that was not read to its end.
func (ex *exchange) allowEarlyAnswer() {
	if ex.body != nil && ex.in.ProtoMajor == 1 && !ex.body.complete() {
		_ = http.NewResponseController(ex.w).EnableFullDuplex()
		header := ex.w.Header()
		header["Connection"] = []string{"close"}
		if len(header["Upgrade"]) > 0 {
			header["Connection"] = closeAndUpgrade()
		}
	}
}

// linger takes in what the client still sends after an answer, for a while. Closing the connection
// at once would reset it, and the client could lose the answer (RFC 9112, section 9.6). A client
// that was never told to continue sends nothing. The backend is done meanwhile, and its place is
// free. The suite's own server lingers by itself, once the answer is whole.
func (ex *exchange) linger(a *attempt) {
	if ex.body == nil || ex.in.ProtoMajor != 1 || ex.body.complete() || a.unasked() || h1server.Lingers(ex.w) {
		return
	}
	a.release()
	control := http.NewResponseController(ex.w)
	if control.Flush() != nil || control.SetReadDeadline(time.Now().Add(lingerTime)) != nil {
		return
	}
	_, _ = io.Copy(io.Discard, ex.body.reader(nil))
}

// endBody ends the use of the client's body. Over HTTP/1 servers read what is left of it before
// they write an error, and net/http's behind an answer that was broken off, so that the connection
// can go on. A client that does not send it in time has its answer without. Nothing can follow a
// body whose read was ended here. A body of which nothing was read is left as it is for error
// routes, which may give the request to another backend, however slowly its body comes.
func (ex *exchange) endBody() {
	if ex.in.ProtoMajor != 1 || ex.body.complete() {
		ex.body.release(atOnce)
		return
	}
	whole := ex.body.untouched()
	soon := time.Now().Add(lingerTime)
	by := soon
	if h1server.Lingers(ex.w) {
		by = atOnce
	}
	if ex.body.release(by) {
		ex.w.Header().Set("Connection", "close")
	} else if !whole || !ex.h.hasErrorRoutes(ex.in) {
		_ = http.NewResponseController(ex.w).SetReadDeadline(soon)
	}
}

// unasked reports whether the client holds its body back because the backend did not ask for it.
func (a *attempt) unasked() bool {
	if a.trace != nil {
		return a.trace.expectation != nil && !a.trace.expectation.continued.Load()
	}
	return !a.engine.AskedForBody()
}
