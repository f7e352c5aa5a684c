package lbproxy

import (
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"sync"
	"sync/atomic"
)

// trace is what is known about a try through a transport of Caddy's, which works on goroutines of its own.
type trace struct {
	a         *attempt
	hooks     httptrace.ClientTrace
	asked     atomic.Bool // the transport began to look for a connection
	connected atomic.Bool // it has one

	interim sync.Mutex // held while an interim answer is passed on
	settled bool       // the round trip ended; guarded by interim

	refused error // by a filter that saw the connection; read when the round trip has ended

	expectation *expectation // nil unless the client waits to be told to send its body

	sent sentBody
	conn *watchedConn // that sends it over HTTP/1; nil until there is one
}

// traceConnection has the transport tell how far the attempt came, and hand over interim answers.
func (a *attempt) traceConnection() {
	t := &trace{a: a}
	t.hooks.GetConn = func(string) { t.asked.Store(true) }
	t.hooks.GotConn = func(info httptrace.GotConnInfo) {
		t.connected.Store(true)
		t.watch(info.Conn)
		if a.ex.h.filters.WatchesConnections() {
			t.refused = a.Connected(info.Conn, info.Reused)
		}
	}
	t.hooks.Got1xxResponse = t.gotInterim
	if a.ex.waiting != nil {
		t.expect()
	}
	a.trace = t
	a.Context = httptrace.WithClientTrace(a.Context, &t.hooks)
}

// failedToConnect reports whether the round trip ended without a connection.
func (t *trace) failedToConnect() bool { return t != nil && t.asked.Load() && !t.connected.Load() }

// watch has the connection end the read of the body when it is closed.
func (t *trace) watch(conn net.Conn) {
	if t.sent.reader == nil || t.a.way.scheme == "h2c" {
		return
	}
	if t.conn = watched(conn); t.conn != nil {
		t.sent.reader.sendOver(t.conn)
		t.conn.carry(t.sent)
	}
}

// settle ends the round trip: interim answers that come late are not passed on any more.
func (t *trace) settle() {
	if t.conn != nil {
		t.conn.carry(sentBody{}) // nobody waits for the body's read now
	}
	t.interim.Lock()
	t.settled = true
	t.interim.Unlock()
}

// gotInterim passes an interim answer on. The transport calls it on a goroutine of its own while the handler
// waits for the round trip.
func (t *trace) gotInterim(code int, header textproto.MIMEHeader) error {
	t.interim.Lock()
	defer t.interim.Unlock()
	if t.settled {
		return nil
	}
	if t.expectation != nil {
		t.expectation.answering.Store(false)
	}
	return t.a.Interim(code, http.Header(header))
}
