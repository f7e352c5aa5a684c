package h1

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

const (
	poison = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison"
	plain  = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nplain"
)

func TestBytesBehindTheAnswerAreNoAnswer(t *testing.T) {
	for name, answer := range map[string]string{
		"in the buffer":     plain + poison,
		"in the socket":     bigBody + poison,
		"behind chunks":     chunkedHead + "5\r\nplain\r\n0\r\n\r\n" + poison,
		"behind trailers":   chunkedHead + "5\r\nplain\r\n0\r\nA: 1\r\n\r\n" + poison,
		"behind no body":    "HTTP/1.1 204 No Content\r\n\r\n" + poison,
		"an empty line":     plain + "\r\n",
		"half of an answer": plain + "HTTP/1.1 2",
	} {
		t.Run(name, func(t *testing.T) {
			address := serve(t, func(p *peer) {
				for first := p.n == 0; p.head() != ""; first = false {
					if first {
						p.write(answer)
					} else {
						p.write(plain)
					}
				}
			})
			h := testClient(t, address, Options{})
			if got := do(h, get(http.MethodGet)); got.err != nil {
				t.Fatal(got.err)
			}
			for range 3 {
				if got := do(h, get(http.MethodGet)); got.body != "plain" {
					t.Errorf("got %.100q, %v", got.body, got.err)
				}
			}
		})
	}
}

const bigBodySize = 10_000

// bigBody is an answer that exceeds the client's buffer, so that its last bytes are read from the connection itself.
var bigBody = "HTTP/1.1 200 OK\r\nContent-Length: 10000\r\n\r\n" + strings.Repeat("x", bigBodySize)

// What happens on an idle connection is found out before the next request.
func TestIdleConnectionThatIsNotQuiet(t *testing.T) {
	for name, act := range map[string]func(p *peer){
		"an answer": func(p *peer) { p.write(poison) },
		"one byte":  func(p *peer) { p.write("x") },
		"end":       func(p *peer) { _ = p.CloseWrite() },
		"reset":     func(p *peer) { p.reset() },
	} {
		t.Run(name, func(t *testing.T) {
			idle := make(chan struct{})
			address := serve(t, func(p *peer) {
				for p.head() != "" {
					p.write(plain)
					if p.n == 0 {
						<-idle
						act(p)
					}
				}
			})
			h := testClient(t, address, Options{})
			if got := do(h, get(http.MethodGet)); got.body != "plain" {
				t.Fatal(got.err)
			}
			c := h.idle[0]
			close(idle)
			eventually(t, "the client's kernel knows", func() bool { return !c.look.quiet() })
			x := &Exchange{Request: post("x", true)}
			if got := doExchange(h, x); got.body != "plain" || x.conn == c {
				t.Errorf("got %q, %v", got.body, got.err)
			}
			if !c.closed.Load() {
				t.Error("the connection was left open")
			}
		})
	}
}

func TestBytesBehindTheAnswerAreNotHandedOver(t *testing.T) {
	written := make(chan struct{})
	address := serve(t, func(p *peer) {
		p.head()
		if p.n == 0 {
			p.write(bigBody + poison)
			close(written)
		} else {
			p.write(plain)
		}
		p.ended()
	})
	h := testClient(t, address, Options{MaxConnsPerHost: 1})
	first := &Exchange{Request: get(http.MethodGet)}
	defer first.End()
	if err := h.RoundTrip(first); err != nil {
		t.Fatal(err)
	}
	<-written
	second := make(chan result)
	go func() { second <- do(h, get(http.MethodGet)) }()
	eventually(t, "the second waits", func() bool { return h.waiters() == 1 })
	if b, err := io.ReadAll(first.Response.Body); len(b) != bigBodySize || err != nil {
		t.Errorf("%d bytes, %v", len(b), err)
	}
	if got := <-second; got.body != "plain" {
		t.Errorf("got %.100q, %v", got.body, got.err)
	}
}

// waiters is how many exchanges wait for a connection.
func (h *Host) waiters() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.waiting)
}

// serveTLS is as serve for TLS, each write in a record of its own.
func serveTLS(t *testing.T, handle func(n int, p *peer, c *tls.Conn)) (string, Options) {
	s := httptest.NewTLSServer(nil)
	config := &tls.Config{Certificates: s.TLS.Certificates, DynamicRecordSizingDisabled: true}
	s.Close()
	address := serve(t, func(p *peer) {
		c := tls.Server(p.TCPConn, config)
		p.r.Reset(c)
		handle(p.n, p, c)
	})
	return address, Options{Handshake: func(ctx context.Context, conn net.Conn) (net.Conn, error) {
		c := tls.Client(conn, &tls.Config{InsecureSkipVerify: true}) //nolint:gosec // the certificate is a test's
		err := c.HandshakeContext(ctx)
		return c, err
	}}
}

// Decrypted bytes that nobody has read yet are in no socket, so that looking at it shows nothing of them.
func TestBytesBehindTheAnswerInTLS(t *testing.T) {
	for name, act := range map[string]func(c *tls.Conn){
		"in its record": func(c *tls.Conn) { _, _ = io.WriteString(c, bigBody+poison) },
		"in a record of their own": func(c *tls.Conn) {
			_, _ = io.WriteString(c, bigBody)
			_, _ = io.WriteString(c, poison)
		},
		"close_notify": func(c *tls.Conn) {
			_, _ = io.WriteString(c, bigBody)
			_ = c.CloseWrite()
		},
	} {
		t.Run(name, func(t *testing.T) {
			written := make(chan struct{})
			address, options := serveTLS(t, func(n int, p *peer, c *tls.Conn) {
				for p.head() != "" {
					if n > 0 {
						_, _ = io.WriteString(c, plain)
						continue
					}
					act(c)
					close(written)
				}
			})
			h := testClient(t, address, options)
			x := &Exchange{Request: get(http.MethodGet)}
			defer x.End()
			if err := h.RoundTrip(x); err != nil {
				t.Fatal(err)
			}
			<-written
			if b, err := io.ReadAll(x.Response.Body); len(b) != bigBodySize || err != nil {
				t.Errorf("%d bytes, %v", len(b), err)
			}
			if h.idleCount() != 0 && name == "in its record" {
				t.Error("the connection is kept")
			}
			for range 2 {
				if got := do(h, post("x", true)); got.body != "plain" {
					t.Errorf("got %.100q, %v", got.body, got.err)
				}
			}
		})
	}
}

func TestTLSConnectionIsUsedAgain(t *testing.T) {
	address, options := serveTLS(t, func(n int, p *peer, c *tls.Conn) {
		for p.head() != "" {
			if n > 0 {
				return
			}
			_, _ = io.WriteString(c, bigBody)
		}
	})
	h := testClient(t, address, options)
	for range 5 {
		if got := do(h, get(http.MethodGet)); len(got.body) != bigBodySize || got.err != nil {
			t.Errorf("%d bytes, %v", len(got.body), got.err)
		}
	}
}
