package h1server

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"
)

const short = 50 * time.Millisecond

// readAnswer returns the body, or the error in place of it.
func readAnswer(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		body = []byte("error")
		if isTimeout(err) {
			body = []byte("timeout")
		}
	}
	_, _ = w.Write(body)
}

func TestIdleTimeout(t *testing.T) {
	for name, options := range map[string]Options{"idle": {IdleTimeout: short}, "read": {ReadTimeout: short}, "both": {ReadTimeout: time.Minute, IdleTimeout: short}} {
		t.Run(name, func(t *testing.T) {
			site, _ := adopting(t, false, says("a"), options)
			c := site.dialAdopted(t)
			c.get("/")
			asked := time.Now()
			c.expectClosed()
			if d := time.Since(asked); d > 10*time.Second {
				t.Errorf("it took %v", d)
			}
		})
	}
}

func TestHeaderTimeout(t *testing.T) {
	site, _ := adopting(t, false, says("a"), Options{ReadHeaderTimeout: short})
	c := site.dialAdopted(t)
	time.Sleep(2 * short) // being idle is allowed
	c.get("/")
	c.send("GET / HTTP/1.1\r\nHost: ")
	c.expectClosed()
}

func TestReadTimeout(t *testing.T) {
	site, _ := adopting(t, false, http.HandlerFunc(readAnswer), Options{ReadTimeout: short, IdleTimeout: time.Minute})
	for range 2 { // the second one is the first of its connection
		c := site.dial(t)
		c.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbo")
		c.expectLast("timeout")
		c = site.dialAdopted(t)
		c.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbo")
		c.expectLast("timeout")
	}
}

func TestWriteTimeout(t *testing.T) {
	for _, transport := range transports {
		t.Run(transport.name, func(t *testing.T) {
			failed := make(chan error, 1)
			site, _ := adopting(t, transport.secure, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/first" {
					return
				}
				for p := make([]byte, 1<<20); ; {
					if _, err := w.Write(p); err != nil {
						<-r.Context().Done()
						failed <- err
						_, err = w.Write(p)
						failed <- err
						return
					}
				}
			}), Options{WriteTimeout: short})
			c := site.dialAdopted(t)
			c.request("/") // and nobody reads
			for range 2 {
				select {
				case err := <-failed:
					if !isTimeout(err) {
						t.Fatalf("got %v", err)
					}
				case <-time.After(20 * time.Second):
					t.Fatal("there is no limit")
				}
			}
			_, _ = io.Copy(io.Discard, c)
		})
	}
}

// deadlines is a connection that tells of its deadlines.
type deadlines struct {
	net.Conn
	read, write atomic.Pointer[time.Time]
}

// SetReadDeadline implements net.Conn.
func (c *deadlines) SetReadDeadline(at time.Time) error {
	c.read.Store(&at)
	return c.Conn.SetReadDeadline(at)
}

// SetWriteDeadline implements net.Conn.
func (c *deadlines) SetWriteDeadline(at time.Time) error {
	c.write.Store(&at)
	return c.Conn.SetWriteDeadline(at)
}

// SetDeadline implements net.Conn.
func (c *deadlines) SetDeadline(at time.Time) error {
	c.read.Store(&at)
	c.write.Store(&at)
	return c.Conn.SetDeadline(at)
}

type listener struct {
	net.Listener
	accepted chan *deadlines
}

// Accept implements net.Listener.
func (l listener) Accept() (net.Conn, error) {
	nc, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	c := &deadlines{Conn: nc}
	l.accepted <- c
	return c, nil
}

// observed starts a site with one connection, and returns that from both ends.
func observed(t *testing.T, handler http.Handler, options Options) (*client, *deadlines, *Server) {
	t.Helper()
	s := New(handler, options)
	l := listener{accepted: make(chan *deadlines, 1)}
	ts := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !s.Adopt(w, r) {
			t.Error("the connection was not taken over")
		}
	}))
	l.Listener = ts.Listener
	ts.Listener = l
	ts.Start()
	t.Cleanup(func() { ts.Close(); expectGone(t, s) })
	c := (&site{Server: ts}).dial(t)
	if _, body := c.get("/first"); body != "/first" {
		t.Fatalf("got %q", body)
	}
	return c, <-l.accepted, s
}

// expectReadDeadline waits for a deadline of reading that is between, or none for two zeros.
func (c *deadlines) expectReadDeadline(t *testing.T, from, to time.Duration) {
	t.Helper()
	begun := time.Now()
	eventually(t, "the right deadline", func() bool {
		at := *c.read.Load()
		return at.IsZero() == (to == 0) && (to == 0 || at.After(begun.Add(from-time.Second)) && at.Before(time.Now().Add(to+time.Second)))
	})
}

func TestDeadlinesOfReading(t *testing.T) {
	const idle, read, header = 100 * time.Second, 300 * time.Second, 200 * time.Second
	h := newWatched()
	c, sc, s := observed(t, h, Options{IdleTimeout: idle})
	sc.expectReadDeadline(t, idle-idle/100, idle)

	// A head has no limit here, a body neither.
	c.send("POST / HT")
	sc.expectReadDeadline(t, 0, 0)
	c.send("TP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n")
	c.send("body")
	c.answer()
	sc.expectReadDeadline(t, idle-idle/100, idle)

	// The watch ends the deadline; what arrived meanwhile and was answered leaves the connection idle again.
	c.request("/held")
	<-h.entered
	eventually(t, "the client is watched", only(t, s).isWatched)
	sc.expectReadDeadline(t, 0, 0)
	c.request("/next")
	eventually(t, "the next request is noticed", func() bool { return !only(t, s).isWatched() })
	h.open <- struct{}{}
	c.answer()
	c.answer()
	sc.expectReadDeadline(t, idle-idle/100, idle)

	next := New(h, Options{IdleTimeout: -1, ReadTimeout: read, ReadHeaderTimeout: header})
	t.Cleanup(func() { expectGone(t, next) })
	s.Drain(next)
	sc.expectReadDeadline(t, 0, 0)
	c.send("POST / HT")
	sc.expectReadDeadline(t, header, header)
	c.send("TP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n")
	sc.expectReadDeadline(t, read, read)
	c.send("body")
	c.expectLast("/")
}

func TestDeadlinesOfEarlierRequests(t *testing.T) {
	soon := func() time.Time { return time.Now().Add(short) }
	c, _, _ := observed(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rc := http.NewResponseController(w)
		if r.URL.Path == "/soon" {
			if rc.SetReadDeadline(soon()) != nil || rc.SetWriteDeadline(soon()) != nil {
				t.Error("deadlines cannot be set")
			}
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		_, _ = io.WriteString(w, r.URL.Path+string(body))
	}), Options{})
	for _, post := range []string{"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n", "POST /a HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n"} {
		c.send("GET /soon HTTP/1.1\r\nHost: a\r\n\r\n" + post[:10]) // so that the connection is not idle in between
		c.answer()
		time.Sleep(2 * short)
		c.send(post[10:])
		if len(post) > 60 {
			if r, err := http.ReadResponse(c.br, nil); err != nil || r.StatusCode != http.StatusContinue {
				t.Fatalf("got %v, error %v", r, err)
			}
		}
		c.send("body")
		if _, body := c.answer(); body != "/abody" {
			t.Fatalf("got %q", body)
		}
	}
	c.send("GET /soon HTTP/1.1\r\nHost: a\r\n\r\nPOST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n")
	c.answer()
	time.Sleep(2 * short)
	c.send("body")
	if _, body := c.answer(); body != "/abody" {
		t.Fatalf("got %q", body)
	}
}

func TestWriteDeadlinesAreRenewed(t *testing.T) {
	h := newWatched()
	c, sc, s := observed(t, h, Options{WriteTimeout: time.Minute})
	for i := range 3 {
		before := time.Now()
		if i > 0 {
			c.get("/a") // after the request that the connection was taken over with
		}
		if at := *sc.write.Load(); at.Before(before.Add(time.Minute)) && i > 0 || at.IsZero() {
			t.Fatalf("the deadline is %v after the request", at.Sub(before))
		}
	}
	next := New(h, Options{})
	t.Cleanup(func() { expectGone(t, next) })
	s.Drain(next)
	c.request("/a")
	c.expectLast("/a")
	if at := *sc.write.Load(); !at.IsZero() {
		t.Fatalf("the deadline of an earlier request is left: %v", at)
	}
}

func TestDeadlinesOfHandlers(t *testing.T) {
	site, _ := adopting(t, false, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/soon" {
			_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(short))
		}
		readAnswer(w, r)
	}), Options{})
	c := site.dialAdopted(t)
	c.send("POST /soon HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbo")
	c.expectLast("timeout")
}
