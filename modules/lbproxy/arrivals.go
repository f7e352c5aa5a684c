package lbproxy

import (
	"net"
	"net/http"
	"reflect"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

const (
	arrivalTime = time.Second            // a connection without a request for longer is idle, as browsers open them ahead
	emptyTime   = 200 * time.Millisecond // for the listeners' queues to become empty, which they may not on a busy machine
	arrivalPoll = time.Millisecond
)

// arrivals are the connections of a server whose first request has not come in. When net/http's server shuts down it
// closes each of these as its request comes, which is not answered: over TLS that is everybody who was shaking hands. So
// a server that is replaced has its listeners closed first, and is shut down when those who had reached it have asked.
// Safe for concurrent use.
type arrivals struct {
	since sync.Map // net.Conn to time.Time
}

// note is an [http.Server.ConnState].
func (a *arrivals) note(nc net.Conn, state http.ConnState) {
	if !reflect.ValueOf(nc).Comparable() {
		return // a plugin's
	}
	if state == http.StateNew {
		a.since.Store(nc, time.Now())
	} else {
		a.since.Delete(nc)
	}
}

// wait waits until none is left that came within arrivalTime, or until the time is over.
func (a *arrivals) wait(by time.Time) {
	for time.Now().Before(by) {
		time.Sleep(arrivalPoll) // at least once: one that is just being accepted is not known yet
		if !a.any(time.Now().Add(-arrivalTime)) {
			return
		}
	}
}

// any reports whether there is a connection that came after t.
func (a *arrivals) any(t time.Time) (found bool) {
	a.since.Range(func(_, since any) bool {
		found = since.(time.Time).After(t)
		return !found
	})
	return found
}

// closeListeners ends the server's part in its addresses, on which another one listens by now, and reports whether it did. What
// waits in a listener's queue as it closes is reset by the kernel, so the moment is chosen when nothing does, or when the time is over.
func closeListeners(server *caddyhttp.Server, by time.Time) (closed bool) {
	for _, address := range server.Listen {
		if na, err := caddy.ParseNetworkAddress(address); err != nil || na.IsFdNetwork() {
			return false // all configurations have the same socket
		}
	}
	for _, ln := range server.Listeners() {
		if tcp := tcpListener(ln); tcp != nil { // nil for a unix socket, which goes over by itself, and for what plugins wrap
			closed = closeEmpty(tcp, by) || closed
		}
	}
	return closed
}

// tcpListener is the listener inside of Caddy's and crypto/tls's wrappers; nil when there is none. It is closed in their
// place, since Caddy counts its own being closed, which the end of Serve does: that would be twice.
func tcpListener(ln net.Listener) *net.TCPListener {
	for ln != nil {
		if tcp, ok := ln.(*net.TCPListener); ok {
			return tcp
		}
		wrapper := reflect.Indirect(reflect.ValueOf(ln))
		if wrapper.Kind() != reflect.Struct {
			return nil
		}
		embedded := wrapper.FieldByName("Listener")
		if !embedded.IsValid() || !embedded.CanInterface() {
			return nil
		}
		ln, _ = embedded.Interface().(net.Listener)
	}
	return nil
}
