package lbproxy

import (
	"maps"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
)

// traceConnection has the transport tell how far the attempt came, and hand over interim answers.
func (a *attempt) traceConnection() {
	a.trace.GetConn = a.getConn
	a.trace.GotConn = a.gotConn
	a.trace.Got1xxResponse = a.gotInterim
	if a.ex.body != nil && expectsContinue(a.ex.in.Header) {
		a.expect()
	}
	a.Context = httptrace.WithClientTrace(a.Context, &a.trace)
}

func (a *attempt) getConn(string) { a.asked.Store(true) }

func (a *attempt) gotConn(httptrace.GotConnInfo) { a.connected.Store(true) }

// settle ends the round trip: interim answers that come late are not passed on any more.
func (a *attempt) settle() {
	a.interim.Lock()
	a.settled = true
	a.interim.Unlock()
}

// gotInterim passes an interim answer (1xx) on to the client (RFC 9110, section 15.2). The transport calls it on
// a goroutine of its own while the handler waits for the round trip.
func (a *attempt) gotInterim(code int, header textproto.MIMEHeader) error {
	a.interim.Lock()
	defer a.interim.Unlock()
	if a.settled {
		return nil
	}
	if a.expectation != nil {
		a.expectation.answering.Store(false)
		if code == http.StatusContinue {
			// The transport reads the body now, and it is that read which makes the server send its own 100.
			return nil
		}
	}
	h := a.ex.w.Header()
	own := h.Clone()
	addEndToEnd(h, http.Header(header).Clone())
	a.ex.w.WriteHeader(code)
	// The final answer starts from what handlers before this one set.
	clear(h)
	maps.Copy(h, own)
	return nil
}
