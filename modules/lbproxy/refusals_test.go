package lbproxy

import (
	"fmt"
	"net/http"
	"testing"
)

// A subroute with routes for errors sees a request that is refused, as the server's own do.
func TestRefusalComesToErrorsOfSubroute(t *testing.T) {
	release, arrived := make(chan struct{}), make(chan struct{}, 1)
	b := startBackend(t, func(http.ResponseWriter, *http.Request) { arrived <- struct{}{}; <-release })
	p := startProxy(t, upstreams(b.URL), serverOptions{before: fmt.Sprintf(`{"handler":"subroute",
		"routes":[{"handle":[{"handler":"lb_proxy","upstreams":[{"dial":%q,"max_requests":1}]}]}],
		"errors":{"routes":[{"handle":[{"handler":"static_response","status_code":503,"body":"sorry"}]}]}}`, hostOf(b.URL))})
	first := make(chan reply)
	go func() { first <- p.get("/") }()
	<-arrived
	if r := p.get("/"); r.status != http.StatusServiceUnavailable || r.body != "sorry" || r.header.Get("Retry-After") != "1" {
		t.Errorf("status %d, body %q", r.status, r.body)
	}
	close(release)
	if r := <-first; r.status != http.StatusOK {
		t.Errorf("the first request was answered %d", r.status)
	}
}

// A request that is refused for the bound on connections is told of in sum, too.
func TestRefusalForConnectionsIsToldInSum(t *testing.T) {
	release, arrived := make(chan struct{}), make(chan struct{}, 1)
	b := startBackend(t, func(http.ResponseWriter, *http.Request) { arrived <- struct{}{}; <-release })
	p := startProxy(t, upstreams(b.URL)+balancing(`"limits":{"connections":1}`))
	first := make(chan reply)
	go func() { first <- p.get("/") }()
	<-arrived
	if r := p.get("/"); r.status != http.StatusServiceUnavailable {
		t.Errorf("status %d", r.status)
	}
	close(release)
	<-first
	logLine(t, `"level":"warn"`, `"logger":"lb"`, "requests are refused for want of a place", `"connections":1`, `"refused":1`)
}
