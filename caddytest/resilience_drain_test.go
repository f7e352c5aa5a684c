package caddytest

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// isEmpty is the log line that a drained backend serves nobody any more.
func isEmpty(b *Backend) func(LogLine) bool {
	return func(l LogLine) bool {
		return l.Text("msg") == "drained backend is empty" && l.Text("backend") == b.Addr
	}
}

// drainedEmpty is a condition for waitLevel.
func drainedEmpty(l backendLevel) bool { return l.State == "drained" && l.Empty }

// Without clients that belong to backends, a drained one is empty as soon as its last request is over.
func TestDrainedIsEmptyAfterItsLastRequest(t *testing.T) {
	b := NewBackends(t, "A", "B")
	g := newGate()
	b[0].Do(g.ServeHTTP)
	config := site("to {$A} {$B}", "lb_policy first")
	s := Start(t, config, addresses(b...))
	w := s.wait("/")
	g.next(t)
	s.patch("p", b[0].Addr, `{"drain":true}`)
	s.avoids(b[0], 10)
	if l := s.level(b[0]); l.State != "drained" || l.Empty {
		t.Errorf("with a request under way: %+v", l)
	}
	s.mustReload(config + "\n# an edit elsewhere\n")
	if l := s.level(b[0]); l.Empty {
		t.Errorf("with a request of the old configuration under way: %+v", l)
	}
	g.letGo(t)
	w.reply(t)
	s.waitLevel(b[0], "is empty", drainedEmpty)
	s.WaitLog(t, "that it is empty", isEmpty(b[0]))
	s.WaitLog(t, "the event", isEvent("drained", "p", b[0]))

	// It is told once: not by the next configurations, and again only after another order.
	for range 3 {
		s.mustReload(config)
		s.mustReload(config + "\n# an edit elsewhere\n")
	}
	s.patch("p", b[1].Addr, `{"drain":true}`)
	s.WaitLog(t, "that the other one is empty", isEmpty(b[1])) // all drained ones are looked at together
	if n := s.countLog(isEmpty(b[0])); n != 1 {
		t.Errorf("one drain is told %d times", n)
	}
	s.patch("p", b[0].Addr, `{"drain":false}`)
	if l := s.level(b[0]); l.Empty || l.State != "up" {
		t.Errorf("back in rotation: %+v", l)
	}
	s.patch("p", b[0].Addr, `{"drain":true}`)
	eventually(t, "it is told again", func() bool { return s.countLog(isEmpty(b[0])) > 1 })
	if n := s.countLog(isEmpty(b[0])); n != 2 {
		t.Errorf("two drains are told %d times", n)
	}
}

// A backend that becomes empty just when the configuration is replaced is told of all the same.
func TestDrainedIsToldOfOverReload(t *testing.T) {
	b := NewBackends(t, "A", "B")
	g := newGate()
	b[0].Do(g.ServeHTTP)
	config := site("to {$A} {$B}", "lb_policy first")
	s := Start(t, config, addresses(b...))
	w := s.wait("/")
	g.next(t)
	s.patch("p", b[0].Addr, `{"drain":true}`)
	g.letGo(t)
	w.reply(t)
	s.mustReload(config + "\n# an edit elsewhere\n")
	s.mustReload(config)
	s.WaitLog(t, "that it is empty", isEmpty(b[0]))
}

const sticky = "lb_policy cookie"

// own sends a request of a client that belongs to a backend.
func (s *Server) own(cookie string) Reply {
	s.t.Helper()
	return s.Get(s.URL("PORT", "/"), "Cookie", cookie)
}

// clientOf is the cookie of a client that belongs to a backend.
func (s *Server) clientOf(b *Backend) (cookie string) {
	s.t.Helper()
	eventually(s.t, "a client is given to "+b.Name, func() bool {
		r := s.Get(s.URL("PORT", "/"))
		cookie, _, _ = strings.Cut(r.Header.Get("Set-Cookie"), ";")
		return r.Backend() == b.Name
	})
	return cookie
}

// A drained backend keeps its clients and gets no others. It is empty when they have stayed away for a while.
func TestDrainedKeepsItsClients(t *testing.T) {
	b := NewBackends(t, "A", "B")
	config := site("to {$A} {$B}", sticky, "drain_idle 600ms")
	s := Start(t, config, addresses(b...))
	cookie := s.clientOf(b[0])
	s.patch("p", b[0].Addr, `{"drain":true}`)
	for begun := time.Now(); time.Since(begun) < time.Second; {
		asked := time.Now()
		if r := s.own(cookie); r.Backend() != "A" || r.Status != http.StatusOK {
			t.Fatalf("its client is given to %q, status %d", r.Backend(), r.Status)
		}
		s.avoids(b[0], 3)
		if l := s.level(b[0]); l.Empty && time.Since(asked) < 600*time.Millisecond { // or the machine stood still
			t.Fatalf("its client is there, and it is said to be empty: %+v", l)
		}
	}
	s.mustReload(config + "\n# an edit elsewhere\n")
	s.Client.CloseIdleConnections()
	last := time.Now()
	if r := s.own(cookie); r.Backend() != "A" {
		t.Errorf("after a reload its client is given to %q", r.Backend())
	}
	s.waitLevel(b[0], "is empty", drainedEmpty)
	if idle := time.Since(last); idle < 600*time.Millisecond {
		t.Errorf("it is empty %s after its client was there, want 600ms", idle)
	}
	s.WaitLog(t, "that it is empty", isEmpty(b[0]))
	s.mustReload(config)
	if l := s.level(b[0]); !l.Empty {
		t.Errorf("after a reload it is not empty: %+v", l)
	}
	if n := s.countLog(isEmpty(b[0])); n != 1 {
		t.Errorf("one drain is told %d times", n)
	}
}

// A long request ends when it ends: its client may be back for as long as any.
func TestDrainedWaitsAfterLongRequests(t *testing.T) {
	b := NewBackends(t, "A", "B")
	config := site("to {$A} {$B}", sticky, "drain_idle 700ms")
	s := Start(t, config, addresses(b...))
	cookie := s.clientOf(b[0])
	begun := make(chan struct{})
	b[0].Do(func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: test\r\n\r\n")
		close(begun)
		_, _ = io.Copy(io.Discard, conn)
	})
	s.patch("p", b[0].Addr, `{"drain":true}`)
	conn, err := net.Dial("tcp", "127.0.0.1:"+s.vars["PORT"])
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_, _ = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nCookie: "+cookie+"\r\nConnection: Upgrade\r\nUpgrade: test\r\n\r\n")
	if resp, err := http.ReadResponse(bufio.NewReader(conn), nil); err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("%v, %+v", err, resp)
	}
	<-begun
	for watched := time.Now(); time.Since(watched) < time.Second; {
		if l := s.level(b[0]); l.Empty || l.Active != 1 {
			t.Fatalf("with a connection open: %+v", l)
		}
	}
	ended := time.Now()
	conn.Close()
	s.waitLevel(b[0], "is empty", drainedEmpty)
	if idle := time.Since(ended); idle < 700*time.Millisecond {
		t.Errorf("it is empty %s after its last request, want 700ms", idle)
	}
}

// A weight of 0 drains in the same way.
func TestWeightZeroIsADrain(t *testing.T) {
	b := NewBackends(t, "A", "B")
	config := site("backend {$A} weight 1\n\t\tbackend {$B}", sticky, "drain_idle 300ms")
	s := Start(t, config, addresses(b...))
	cookie := s.clientOf(b[0])
	s.mustReload(strings.Replace(config, "weight 1", "weight 0", 1))
	s.Client.CloseIdleConnections()
	if r := s.own(cookie); r.Backend() != "A" {
		t.Errorf("its client is given to %q", r.Backend())
	}
	s.avoids(b[0], 10)
	s.waitLevel(b[0], "is empty", drainedEmpty)
}
