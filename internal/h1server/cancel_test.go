package h1server

import (
	"context"
	"io"
	"net/http"
	"testing"
	"time"
)

// watched is a handler that holds its requests until it is told otherwise or their context ends.
type watched struct {
	entered chan context.Context
	open    chan struct{}
}

func newWatched() *watched { return &watched{make(chan context.Context), make(chan struct{})} }

// ServeHTTP implements http.Handler.
func (h *watched) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	if r.Method != http.MethodGet && r.Method != http.MethodPost {
		http.Error(w, "a part of the request is lost: "+r.Method, http.StatusMethodNotAllowed)
		return
	}
	if r.URL.Path == "/held" {
		h.entered <- r.Context()
		select {
		case <-h.open:
		case <-r.Context().Done():
		}
	}
	_, _ = io.WriteString(w, r.URL.Path)
}

// only is the server's connection.
func only(t testing.TB, s *Server) *conn {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.conns) != 1 {
		t.Fatalf("there are %d connections", len(s.conns))
	}
	for c := range s.conns {
		return c
	}
	return nil
}

// isWatched reports whether somebody looks out for the end of the client.
func (c *conn) isWatched() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.watch.reading
}

func expectEnd(ctx context.Context, t *testing.T) {
	t.Helper()
	select {
	case <-ctx.Done():
	case <-time.After(20 * time.Second):
		t.Fatal("the context does not end")
	}
}

func TestClientLeaves(t *testing.T) {
	requests := map[string]string{
		"GET": "GET /held HTTP/1.1\r\nHost: a\r\n\r\n", "POST": "POST /held HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody",
		"chunks": "POST /held HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n",
	}
	leave := map[string]func(*client){"close": func(c *client) { c.Close() }, "half-close": func(c *client) { c.closeWrite() }}
	for _, transport := range transports {
		for how, leave := range leave {
			for name, request := range requests {
				t.Run(transport.name+" "+name+" "+how, func(t *testing.T) {
					h := newWatched()
					site, _ := adopting(t, transport.secure, h, Options{IdleTimeout: time.Minute})
					c := site.dialAdopted(t)
					c.send(request)
					ctx := <-h.entered
					if ctx.Err() != nil {
						t.Error("the context ended at once")
					}
					left := time.Now()
					leave(c)
					expectEnd(ctx, t)
					if d := time.Since(left); d > 3*time.Second {
						t.Errorf("it took %v", d)
					}
				})
			}
		}
	}
}

func TestFirstRequestIsWatched(t *testing.T) {
	h := newWatched()
	site, _ := adopting(t, false, h, Options{})
	c := site.dial(t)
	c.request("/held")
	ctx := <-h.entered
	c.Close()
	expectEnd(ctx, t)
}

func TestClientStays(t *testing.T) {
	for _, transport := range transports {
		t.Run(transport.name, func(t *testing.T) {
			h := newWatched()
			site, s := adopting(t, transport.secure, h, Options{IdleTimeout: 50 * time.Millisecond})
			c := site.dialAdopted(t)
			sc := only(t, s)
			for range 3 {
				c.request("/held")
				ctx := <-h.entered
				eventually(t, "the client is watched", sc.isWatched)
				time.Sleep(60 * time.Millisecond) // longer than the connection may be idle
				if ctx.Err() != nil {
					t.Fatal("the context has ended")
				}
				h.open <- struct{}{}
				if _, body := c.answer(); body != "/held" {
					t.Fatalf("got %q", body)
				}
				if _, body := c.get("/next"); body != "/next" {
					t.Fatalf("got %q", body)
				}
			}
		})
	}
}

func TestRequestArrivesDuringAnother(t *testing.T) {
	for _, transport := range transports {
		t.Run(transport.name, func(t *testing.T) {
			h := newWatched()
			site, s := adopting(t, transport.secure, h, Options{})
			c := site.dialAdopted(t)
			sc := only(t, s)
			c.request("/held")
			ctx := <-h.entered
			eventually(t, "the client is watched", sc.isWatched)
			c.request("/a")
			c.request("/b")
			eventually(t, "the next request is noticed", func() bool { return !sc.isWatched() })
			if ctx.Err() != nil {
				t.Fatal("the context has ended")
			}
			close(h.open)
			for _, want := range []string{"/held", "/a", "/b"} {
				if _, body := c.answer(); body != want {
					t.Fatalf("got %q, want %q", body, want)
				}
			}
		})
	}
}

func TestContextEndsWithTheRequest(t *testing.T) {
	contexts := make(chan context.Context, 1)
	site, _ := adopting(t, false, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		ctx := r.Context()
		if r.URL.Path != "/first" {
			contexts <- ctx
		}
		if ctx.Value(http.ServerContextKey) == nil || ctx.Value(http.LocalAddrContextKey) == nil {
			t.Error("the context does not know the server")
		}
	}), Options{})
	c := site.dialAdopted(t)
	for range 2 {
		c.get("/")
		expectEnd(<-contexts, t)
	}
}
