package lbproxy

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

func init() { caddy.RegisterModule(new(breaker)) }

// breaker is a handler before lb_proxy by which requests are broken off: at an interim answer, or at the placeholder {broken} for the
// second try.
type breaker struct{}

func (*breaker) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers.lb_proxy_breaker", New: func() caddy.Module { return new(breaker) }}
}

func (*breaker) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	repl := r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer)
	repl.Map(func(key string) (any, bool) {
		if key != "broken" {
			return nil, false
		}
		if tries, _ := repl.Get("http.reverse_proxy.tries"); tries != 1 {
			panic(http.ErrAbortHandler)
		}
		return "", true
	})
	return next.ServeHTTP(&breakingWriter{ResponseWriterWrapper: &caddyhttp.ResponseWriterWrapper{ResponseWriter: w}}, r)
}

type breakingWriter struct {
	*caddyhttp.ResponseWriterWrapper
}

// WriteHeader implements http.ResponseWriter.
func (w *breakingWriter) WriteHeader(status int) {
	if status == http.StatusEarlyHints {
		panic(http.ErrAbortHandler)
	}
	w.ResponseWriterWrapper.WriteHeader(status)
}

const breaking = `{"handler":"lb_proxy_breaker"}`

// A request that is broken off within its first try leaves nothing of the second behind.
func TestHedgedRequestBrokenOff(t *testing.T) {
	second, left := hanging(t)
	first := rawBackend(t, func(conn net.Conn, r *bufio.Reader) {
		readHead(t, r)
		eventually(t, "second try", func() bool { return second.count() == 1 })
		_, _ = io.WriteString(conn, "HTTP/1.1 103 Early Hints\r\n\r\n")
		_, _ = io.Copy(io.Discard, r)
	})
	p := startProxy(t, hedged("", first, second.URL), serverOptions{before: breaking})
	if res, err := http.Get(p.url("/")); err == nil {
		res.Body.Close()
		t.Errorf("got %d", res.StatusCode)
	}
	<-left
	settled(t)
}

// A second try that cannot be made for a panic leaves its place, and the first one has the answer.
func TestHedgePanics(t *testing.T) {
	second := startBackend(t, text("second"))
	first := startBackend(t, func(w http.ResponseWriter, _ *http.Request) {
		logLine(t, "hedging a request panicked")
		_, _ = io.WriteString(w, "first")
	})
	p := startProxy(t, hedged(`,"headers":{"request":{"set":{"X-Broken":["{broken}"]}}}`, first.URL, second.URL), serverOptions{before: breaking})
	if r := p.get("/"); r.body != "first" || second.count() != 0 {
		t.Errorf("got %d %q after %d tries of the second", r.status, strings.TrimSpace(r.body), second.count())
	}
	settled(t)
}

// What is logged at debug level does not meet the second try.
func TestHedgeAtDebugLevel(t *testing.T) {
	slow, _ := hanging(t)
	p := startProxy(t, hedged("", slow.URL, startBackend(t, text("fast")).URL), serverOptions{log: `"level":"DEBUG"`})
	for range 3 {
		if r := p.get("/"); r.body != "fast" {
			t.Errorf("got %d %q", r.status, r.body)
		}
	}
	settled(t)
}
