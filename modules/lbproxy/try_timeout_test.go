package lbproxy

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func TestTryTimeout(t *testing.T) {
	hang := func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		<-r.Context().Done() // the proxy closes the connection
	}
	// Where all else has to be done within it, the limit leaves room for a machine that stands
	// still for a moment.
	const limit = `"try_timeout":"500ms"`
	t.Run("the next backend is asked", func(t *testing.T) {
		hanging := startBackend(t, hang)
		p := startProxy(t, upstreams(hanging.URL, startBackend(t, text("fine")).URL)+balancing(`"try_timeout":"50ms","retry_on":["timeout"],"retries":50`))
		if r := p.get("/"); r.body != "fine" || hanging.count() == 0 {
			t.Errorf("got %d %q", r.status, r.body)
		}
	})
	t.Run("504 without a retry", func(t *testing.T) {
		for name, transport := range map[string]string{"the engine": "", "a module": `,"transport":{"protocol":"http","compression":true}`} {
			other := startBackend(t, text("fine"))
			p := startProxy(t, upstreams(startBackend(t, hang).URL, other.URL)+balancing(limit+`,"retry_on":["timeout"]`)+transport)
			if r := p.send(http.MethodPost, "/", strings.NewReader("once")); r.status != 504 || other.count() != 0 {
				t.Errorf("%s: got %d, the other backend was asked %d times", name, r.status, other.count())
			}
		}
	})
	t.Run("nothing was sent within a handshake", func(t *testing.T) {
		// A backend that accepts but says nothing does not answer in TLS either: the request goes on, whatever its method.
		silent := rawBackend(t, func(_ net.Conn, r *bufio.Reader) { _, _ = io.Copy(io.Discard, r) })
		good := httptest.NewTLSServer(text("fine"))
		defer good.Close()
		p := startProxy(t, upstreams(silent, strings.TrimPrefix(good.URL, "https://"))+balancing(`"try_timeout":"2s","retry_on":["5xx"]`)+
			`,"transport":{"protocol":"http","tls":{"insecure_skip_verify":true}}`)
		if r := p.send(http.MethodPost, "/", strings.NewReader("x")); r.body != "fine" {
			t.Errorf("got %d %q", r.status, r.body)
		}
	})
	t.Run("an upgraded connection may last", func(t *testing.T) {
		p := startProxy(t, upstreams(startBackend(t, webSocketEcho(make(chan error, 1))).URL)+balancing(limit))
		c := dialWebSocket(t, p)
		time.Sleep(600 * time.Millisecond)
		echoOnce(t, c, "still there")
	})
	t.Run("a body may take its time", func(t *testing.T) {
		slow := startBackend(t, func(w http.ResponseWriter, _ *http.Request) {
			for range 4 {
				_, _ = w.Write([]byte("part "))
				_ = http.NewResponseController(w).Flush()
				time.Sleep(150 * time.Millisecond)
			}
		})
		p := startProxy(t, upstreams(slow.URL)+balancing(limit))
		if r := p.get("/"); r.body != "part part part part " {
			t.Errorf("got %d %q", r.status, r.body)
		}
	})
}
