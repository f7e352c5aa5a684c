package h1server

import (
	"bufio"
	"crypto/tls"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"
)

// transports are the ways in which clients reach a server.
var transports = []struct {
	name   string
	secure bool
}{{"plain", false}, {"tls", true}}

// site is a server of net/http, whose connections another one may take over.
type site struct {
	*httptest.Server
	secure  bool
	engine  atomic.Pointer[Server] // nil for net/http alone
	adopted atomic.Int64           // connections
}

// newSite starts a site with the handler.
func newSite(t testing.TB, secure bool, engine *Server, handler http.Handler, configure ...func(*http.Server)) *site {
	t.Helper()
	s := &site{secure: secure}
	s.engine.Store(engine)
	s.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if engine := s.engine.Load(); engine != nil && engine.Adopt(w, r) {
			s.adopted.Add(1)
			return
		}
		handler.ServeHTTP(w, r)
	}))
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	for _, f := range configure {
		f(s.Config)
	}
	if secure {
		s.StartTLS()
	} else {
		s.Start()
	}
	t.Cleanup(s.Close)
	return s
}

// adopting starts a site all connections of which are taken over.
func adopting(t testing.TB, secure bool, handler http.Handler, options Options) (*site, *Server) {
	t.Helper()
	engine := New(handler, options)
	s := newSite(t, secure, engine, handler)
	t.Cleanup(func() { expectGone(t, s.engine.Load()) })
	return s, engine
}

// expectGone waits until the server has no connections. Those of the test have to be closed.
func expectGone(t testing.TB, s *Server) {
	t.Helper()
	eventually(t, "no connections", func() bool { return s.Connections() == 0 })
}

// client is a connection to a site, as raw as possible.
type client struct {
	net.Conn
	t  testing.TB
	br *bufio.Reader
}

func (s *site) dial(t testing.TB) *client {
	t.Helper()
	nc, err := net.Dial("tcp", s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if s.secure {
		nc = tls.Client(nc, &tls.Config{RootCAs: s.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs, ServerName: "example.com"})
	}
	t.Cleanup(func() { nc.Close() })
	_ = nc.SetDeadline(time.Now().Add(30 * time.Second))
	return &client{nc, t, bufio.NewReader(nc)}
}

// adopted dials, and sends a first request, so that the connection is taken over.
func (s *site) dialAdopted(t testing.TB) *client {
	t.Helper()
	c, before := s.dial(t), s.adopted.Load()
	c.get("/first")
	eventually(t, "the connection is taken over", func() bool { return s.adopted.Load() > before })
	return c
}

func (c *client) send(text string) {
	c.t.Helper()
	if _, err := io.WriteString(c, text); err != nil {
		c.t.Fatal(err)
	}
}

// closeWrite ends what the client sends.
func (c *client) closeWrite() {
	c.t.Helper()
	if err := c.Conn.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
		c.t.Fatal(err)
	}
}

// answer reads an answer to a GET and returns it with its body.
func (c *client) answer() (*http.Response, string) {
	c.t.Helper()
	r, err := http.ReadResponse(c.br, nil)
	if err != nil {
		c.t.Fatal(err)
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	return r, string(body)
}

func (c *client) get(path string) (*http.Response, string) {
	c.t.Helper()
	c.send("GET " + path + " HTTP/1.1\r\nHost: a\r\n\r\n")
	return c.answer()
}

// expectClosed waits until the server has closed the connection, without another byte.
func (c *client) expectClosed() {
	c.t.Helper()
	switch n, err := c.br.Read(make([]byte, 1)); {
	case n > 0:
		c.t.Fatal("the server sent something, where the connection's end was expected")
	case isTimeout(err):
		c.t.Fatal("the server did not close the connection")
	}
}

func isTimeout(err error) bool {
	var ne net.Error
	return errors.As(err, &ne) && ne.Timeout()
}
