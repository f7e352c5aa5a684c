package lbproxy

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
)

// A request that no backend answered is told of with each backend and what came of it.
func TestFailureNamesEveryBackend(t *testing.T) {
	var dead []string
	for range 3 {
		dead = append(dead, freeAddress(t))
	}
	p := startProxy(t, upstreams(dead...))
	if r := p.get("/several"); r.status != http.StatusBadGateway {
		t.Fatalf("status %d", r.status)
	}
	parts := []string{`"level":"error"`, `"logger":"http.log.error"`}
	for _, address := range dead {
		parts = append(parts, "backend "+address+": connecting: ")
	}
	logLine(t, parts...)
}

// The error is as long as ten backends are, however many were tried, and routes for errors see it.
func TestFailureNamesTenBackends(t *testing.T) {
	var dead []string
	for range 12 {
		dead = append(dead, freeAddress(t))
	}
	p := startProxy(t, upstreams(dead...), serverOptions{
		server: `"errors":{"routes":[{"handle":[{"handler":"static_response","body":"{http.error.message}"}]}]}`,
	})
	text := p.get("/").body
	if n := strings.Count(text, "refused"); n != maxTriedNamed || !strings.HasSuffix(text, "; and 2 more backends before") {
		t.Errorf("%d backends are named: %s", n, text)
	}
}

// What one backend broke and the other refused to do is told of each, once for each of them.
func TestFailureNamesEachBackendOnce(t *testing.T) {
	dead := freeAddress(t)
	busy := answering(t, http.StatusServiceUnavailable, "busy")
	p := startProxy(t, upstreams(dead, busy.URL)+
		balancing(`"retry_match":[{"expression":"{http.reverse_proxy.status_code} == 503"}],"retries":4,"try_interval":"1ms"`), serverOptions{
		server: `"errors":{"routes":[{"handle":[{"handler":"static_response","body":"{http.error.message}"}]}]}`,
	})
	text := p.get("/").body
	for part, want := range map[string]int{"backend " + dead + ": connecting: ": 1, fmt.Sprintf("backend %s: it answered 503", hostOf(busy.URL)): 1} {
		if n := strings.Count(text, part); n != want {
			t.Errorf("%q is there %d times, want %d: %s", part, n, want, text)
		}
	}
}

// A failure that no backend is to blame for names none.
func TestFailureOfClientNamesNoBackend(t *testing.T) {
	b := startBackend(t, func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) })
	p := startProxy(t, upstreams(b.URL), serverOptions{
		before: `{"handler":"request_body","max_size":10}`,
		server: `"errors":{"routes":[{"handle":[{"handler":"static_response","body":"{http.error.message}"}]}]}`,
	})
	r := p.send(http.MethodPost, "/", strings.NewReader(strings.Repeat("x", 100)))
	if strings.Contains(r.body, hostOf(b.URL)) || !strings.Contains(r.body, "too large") {
		t.Errorf("the error is %q", r.body)
	}
}
