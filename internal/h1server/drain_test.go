package h1server

import (
	"context"
	"errors"
	"io"
	"net/http"
	"testing"
	"time"
)

// says is a handler with one answer.
func says(word string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, word) })
}

// expectLast reads an answer that ends the connection.
func (c *client) expectLast(body string) {
	c.t.Helper()
	r, got := c.answer()
	if got != body || !r.Close {
		c.t.Fatalf("got %q, close %v, want %q as the last answer", got, r.Close, body)
	}
	c.expectClosed()
}

func (c *client) request(path string) {
	c.t.Helper()
	c.send("GET " + path + " HTTP/1.1\r\nHost: a\r\n\r\n")
}

func expectDrained(t *testing.T, s *Server) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := s.Wait(ctx); err != nil {
		t.Fatal(err)
	}
}

func TestSuccessorServesTheNextRequest(t *testing.T) {
	for _, transport := range transports {
		for name, options := range map[string]Options{"": {}, "-limited": {ReadTimeout: time.Minute, IdleTimeout: time.Minute, WriteTimeout: time.Minute}} {
			t.Run(transport.name+name, func(t *testing.T) {
				site, first := adopting(t, transport.secure, says("first"), options)
				idle, asking := site.dialAdopted(t), site.dialAdopted(t)
				second, third := New(says("second"), Options{}), New(says("third"), options)
				first.Drain(second)
				expectDrained(t, first)
				if n := second.Connections(); n != 2 {
					t.Fatalf("%d connections went over", n)
				}
				for c := range second.conns {
					c.rouse(first) // as if the drain came to it only now
				}
				asking.request("/")
				asking.expectLast("second")
				second.Drain(third)
				expectDrained(t, second)
				idle.request("/")
				idle.expectLast("third")
				expectGone(t, third)
			})
		}
	}
}

func TestDrainedServersPassOn(t *testing.T) {
	site, first := adopting(t, false, says("first"), Options{})
	c := site.dialAdopted(t)
	last := New(says("last"), Options{})
	middle := New(says("middle"), Options{})
	middle.Drain(last)
	first.Drain(middle)
	expectDrained(t, first)
	expectDrained(t, middle)
	c.request("/")
	c.expectLast("last")
	expectGone(t, last)
}

func TestDrainWithoutSuccessor(t *testing.T) {
	site, s := adopting(t, false, says("first"), Options{})
	c := site.dialAdopted(t)
	s.Drain(nil)
	c.expectClosed()
	expectDrained(t, s)
	other := site.dial(t)
	if _, body := other.get("/"); body != "first" || s.Connections() != 0 {
		t.Fatalf("a drained server has taken over a connection, or net/http answered %q", body)
	}
}

// gate is a handler that begins its answer, if it is asked for /begun, and holds back the rest.
type gate struct{ entered, open chan struct{} }

func newGate() *gate { return &gate{make(chan struct{}), make(chan struct{})} }

// ServeHTTP implements http.Handler.
func (g *gate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/begun":
		_ = http.NewResponseController(w).Flush()
		fallthrough
	case "/held":
		g.entered <- struct{}{}
		<-g.open
	}
	_, _ = io.WriteString(w, r.URL.Path)
}

func TestDrainWaitsForRequests(t *testing.T) {
	g := newGate()
	site, s := adopting(t, false, g, Options{})
	c := site.dialAdopted(t)
	c.request("/held")
	<-g.entered
	s.Drain(nil)
	ctx, cancel := context.WithCancelCause(context.Background())
	why := errors.New("no time left")
	cancel(why)
	if err := s.Wait(ctx); err != why {
		t.Fatalf("got %v", err)
	}
	close(g.open)
	c.expectLast("/held")
	expectDrained(t, s)
}

func TestDrainAnswersWhatHasArrived(t *testing.T) {
	for name, successor := range map[string]*Server{"with successor": New(says("/next"), Options{}), "without": nil} {
		t.Run(name, func(t *testing.T) {
			g := newGate()
			site, s := adopting(t, false, g, Options{})
			c := site.dialAdopted(t)
			c.send("GET /begun HTTP/1.1\r\nHost: a\r\n\r\nGET /next HTTP/1.1\r\nHost: a\r\n\r\n")
			<-g.entered
			s.Drain(successor)
			close(g.open)
			if _, body := c.answer(); body != "/begun" {
				t.Fatalf("got %q", body)
			}
			c.expectLast("/next")
			expectDrained(t, s)
		})
	}
}

func TestHijackedConnectionsDoNotCount(t *testing.T) {
	site, s := adopting(t, false, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/hijack" {
			return
		}
		nc, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer nc.Close()
		_, _ = io.Copy(nc, rw)
	}), Options{})
	c := site.dialAdopted(t)
	c.request("/hijack")
	expectGone(t, s)
	s.Drain(nil)
	expectDrained(t, s)
	c.send("ping")
	got := make([]byte, 4)
	if _, err := io.ReadFull(c.br, got); err != nil || string(got) != "ping" {
		t.Fatalf("got %q, error %v", got, err)
	}
}
