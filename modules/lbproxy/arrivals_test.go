package lbproxy

import (
	"crypto/tls"
	"net"
	"net/http"
	"testing"
	"time"
)

// counted is a listener's wrapper as Caddy's are.
type counted struct {
	net.Listener
	name string
}

// closedListener is a plugin's, which keeps what it wraps to itself.
type closedListener struct{ inner net.Listener }

func (l closedListener) Accept() (net.Conn, error) { return l.inner.Accept() }
func (l closedListener) Close() error              { return l.inner.Close() }
func (l closedListener) Addr() net.Addr            { return l.inner.Addr() }

func listenTCP(t *testing.T) *net.TCPListener {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	return ln.(*net.TCPListener)
}

// dialTCP is a connection that waits in a listener's queue.
func dialTCP(t *testing.T, ln *net.TCPListener) net.Conn {
	t.Helper()
	client, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	return client
}

func TestTCPListenerInsideOfWrappers(t *testing.T) {
	tcp := listenTCP(t)
	for _, wrapped := range []net.Listener{tcp, counted{tcp, "a"}, &counted{counted{tcp, "a"}, "b"}, tls.NewListener(counted{tcp, "a"}, &tls.Config{})} {
		if got := tcpListener(wrapped); got != tcp {
			t.Errorf("in %T there is %v", wrapped, got)
		}
	}
	for _, other := range []net.Listener{nil, closedListener{tcp}, counted{nil, "a"}, counted{closedListener{tcp}, "a"}, (*counted)(nil)} {
		if got := tcpListener(other); got != nil {
			t.Errorf("in %T there is %v", other, got)
		}
	}
}

// incomparable is a plugin's connection that cannot be a key.
type incomparable struct {
	net.Conn
	_ []byte
}

func TestArrivals(t *testing.T) {
	var a arrivals
	one, two := net.Pipe()
	began := time.Now().Add(-time.Minute)
	if a.any(began) {
		t.Error("there is one before any came")
	}
	a.note(one, http.StateNew)
	a.note(two, http.StateNew)
	a.note(incomparable{Conn: one}, http.StateNew)
	a.note(one, http.StateActive)
	if !a.any(began) {
		t.Error("the other one is forgotten")
	}
	if a.any(time.Now()) {
		t.Error("an old one counts")
	}
	a.note(two, http.StateClosed)
	a.note(two, http.StateClosed)
	if a.any(began) {
		t.Error("there is one left")
	}
	a.wait(time.Now().Add(time.Minute)) // for nobody
}

// A connection that waits in the listener's queue is accepted before that is closed.
func TestListenerClosesWhenNobodyWaits(t *testing.T) {
	tcp := listenTCP(t)
	client := dialTCP(t, tcp)
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		closeEmpty(tcp, time.Now().Add(time.Minute))
	}()
	conn, err := tcp.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	<-closed
	if _, err := tcp.Accept(); err == nil {
		t.Error("it accepts after it was closed")
	}
	if _, err := conn.Write([]byte("x")); err != nil {
		t.Error(err)
	}
	if n, err := client.Read(make([]byte, 1)); n != 1 {
		t.Error(err)
	}
}

// A queue that does not become empty is not waited for without end.
func TestListenerClosesInTheEnd(t *testing.T) {
	tcp := listenTCP(t)
	dialTCP(t, tcp)
	closeEmpty(tcp, time.Now().Add(10*time.Millisecond))
	if _, err := tcp.Accept(); err == nil {
		t.Error("it accepts after it was closed")
	}
}
