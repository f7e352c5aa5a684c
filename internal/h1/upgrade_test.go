package h1

import (
	"context"
	"crypto/tls"
	"io"
	"net/http"
	"strings"
	"testing"
)

const switching = "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n"

// upgradeRequest asks for another protocol, or for a tunnel.
func upgradeRequest(method string) *http.Request {
	r := get(method)
	if method == http.MethodConnect {
		r.URL.Path = ""
		return r
	}
	r.Header = http.Header{"Connection": {"Upgrade"}, "Upgrade": {"x"}}
	return r
}

// halfCloser is what an upgraded connection can do.
type halfCloser interface {
	io.ReadWriteCloser
	CloseWrite() error
}

func TestUpgrade(t *testing.T) {
	for method, answer := range map[string]string{
		http.MethodGet:     switching,
		http.MethodConnect: "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
	} {
		for _, first := range []string{"", "hello", strings.Repeat("x", 10_000)} {
			h := testClient(t, serve(t, func(p *peer) {
				p.head()
				p.write(answer + first)
				_, _ = io.Copy(p.TCPConn, p.r)
			}), Options{})
			ctx, cancel := context.WithCancel(t.Context())
			x := &Exchange{Request: upgradeRequest(method).WithContext(ctx)}
			if err := h.RoundTrip(x); err != nil {
				t.Fatal(err)
			}
			// The connection belongs to whoever has it now: neither the request's end nor the client's is that of it.
			cancel()
			h.client.watcher.watch(now())
			x.End()
			h.client.Close()
			rw := x.Response.Body.(halfCloser)
			if _, err := io.WriteString(rw, "echo"); err != nil {
				t.Error(err)
			}
			if err := rw.CloseWrite(); err != nil {
				t.Error(err)
			}
			if b, err := io.ReadAll(rw); string(b) != first+"echo" || err != nil {
				t.Errorf("%s: got %.20q, %v", method, b, err)
			}
			_ = rw.Close()
			_ = rw.Close()
			if h.openCount() != 0 {
				t.Errorf("%d connections are open", h.openCount())
			}
		}
	}
}

func TestConnectThatIsRefused(t *testing.T) {
	h := testClient(t, serve(t, func(p *peer) {
		for p.head() != "" {
			p.write("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno")
		}
	}), Options{})
	for range 2 {
		if got := do(h, upgradeRequest(http.MethodConnect)); got.body != "no" || h.idleCount() != 1 {
			t.Errorf("got %q, %v", got.body, got.err)
		}
	}
}

// Behind the head of the request comes its body, and not yet the other protocol (RFC 9110, section 7.8).
func TestUpgradeWithABody(t *testing.T) {
	for _, whole := range []bool{true, false} {
		h := testClient(t, serve(t, func(p *peer) {
			head := p.head()
			if whole {
				p.body(head)
			}
			p.write(switching)
			p.ended()
		}), Options{})
		body, in := io.Pipe()
		r := upgradeRequest(http.MethodPost)
		r.Body, r.ContentLength = body, -1
		go func() {
			_, _ = io.WriteString(in, "hello")
			if whole {
				_ = in.Close()
			}
		}()
		x := &Exchange{Request: r}
		err := h.RoundTrip(x)
		if whole != (err == nil) {
			t.Errorf("whole: %v, %v", whole, err)
		}
		if err == nil {
			x.Response.Body.Close()
		}
		_ = in.Close()
	}
}

func TestUpgradeOverTLS(t *testing.T) {
	address, options := serveTLS(t, func(_ int, p *peer, c *tls.Conn) {
		p.head()
		_, _ = io.WriteString(c, switching+"hello")
		b, _ := io.ReadAll(p.r)
		_, _ = c.Write(b)
	})
	h := testClient(t, address, options)
	x := &Exchange{Request: upgradeRequest(http.MethodGet)}
	if err := h.RoundTrip(x); err != nil {
		t.Fatal(err)
	}
	rw := x.Response.Body.(halfCloser)
	defer rw.Close()
	_, _ = io.WriteString(rw, "echo")
	if err := rw.CloseWrite(); err != nil {
		t.Error(err)
	}
	buf := make([]byte, 9)
	if _, err := io.ReadFull(rw, buf); string(buf) != "helloecho" || err != nil {
		t.Errorf("got %q, %v", buf, err)
	}
}
