package h1server

import (
	"net/http"

	"golang.org/x/net/http/httpguts"
)

// sendInterim sends an interim answer (RFC 9110, section 15.2) with the header as it is.
func (x *exchange) sendInterim(status int) {
	if status == http.StatusContinue {
		x.forbidContinue() // this is it
	}
	out := x.buffer()
	*out = appendStatusLine(*out, x.http10, status)
	for _, f := range x.c.sorted(x.header) {
		if f.name != "Content-Length" && f.name != "Transfer-Encoding" {
			*out = appendField(*out, f.name, f.values)
		}
	}
	*out = append(*out, crlf...)
	x.interim.Lock()
	defer x.interim.Unlock()
	_ = x.flush()
}

// sendContinue tells a client that waits to send its body (RFC 9110, section 10.1.1).
func (x *exchange) sendContinue() {
	x.interim.Lock()
	defer x.interim.Unlock()
	if x.body.continues.Swap(false) {
		x.dropDeadline()
		_, _ = x.c.nc.Write([]byte("HTTP/1.1 100 Continue\r\n\r\n"))
	}
}

// forbidContinue keeps a final answer free from interim ones.
func (x *exchange) forbidContinue() {
	if x.body.continues.Load() {
		x.interim.Lock()
		x.body.continues.Store(false)
		x.interim.Unlock()
	}
}

// expect looks at what the client expects (RFC 9110, section 10.1.1). It reports false for what is not known, which is refused.
func (x *exchange) expect() bool {
	values := x.req.Header["Expect"]
	switch {
	case len(values) == 0 || values[0] == "":
		return true
	case !httpguts.HeaderValuesContainsToken(values[:1], "100-continue"):
		return false
	}
	if !x.http10 && x.req.ContentLength != 0 {
		x.body.expects = true
		x.body.continues.Store(true)
	}
	return true
}

// refuseExpectation ends a request of which more is expected than there is.
func (x *exchange) refuseExpectation() {
	x.header["Connection"] = closing
	x.WriteHeader(http.StatusExpectationFailed)
	x.finish()
	x.cancel()
}
