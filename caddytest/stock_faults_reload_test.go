package caddytest

import (
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
)

var reloadFaults = []fault{
	{
		name: "reload_forgets_active_health", what: "a backend failed its checks, then the configuration is reloaded",
		run:   activeHealthOverReload,
		stock: "20 of 40 requests go to it until checks have failed again",
		ours:  "0 of 40 requests go to it until checks have failed again",
	},
	{
		name: "reload_forgets_passive_health", what: "a backend failed requests, then the configuration is reloaded within `fail_duration`",
		run:   passiveHealthOverReload,
		stock: "it gets requests again",
		ours:  "it gets none",
	},
	{
		name: "failed_reload_damages_state", what: "a backend serves as many requests as it may; a configuration fails to load, the next one loads",
		run:   stateOverFailedReload,
		stock: "a further request is given to it",
		ours:  "a further request is refused",
	},
	{
		name: "reload_drops_waiting_requests", what: "a request waits for a backend (`lb_try_duration`), the configuration is reloaded, the backend comes up",
		run:   waitingOverReload,
		stock: "502, at the reload",
		ours:  "200",
	},
	{
		name: "waiting_without_client", what: "a request waits for a backend and its client leaves",
		run:   waitingWithoutClient,
		stock: "it waits until `lb_try_duration` is over, and is logged as 503",
		ours:  "it ends, and is logged as 499",
	},
	{
		name: "reload_drops_connections", what: "requests before and after a reload that changes nothing about the backend",
		run:   connectionsOverReload,
		stock: "2 connections to the backend",
		ours:  "1 connection to the backend",
	},
}

// waitOut waits until a backend gets none of n requests, one after another.
func (s *Server) waitOut(b *Backend, n int) {
	s.t.Helper()
	eventually(s.t, b.Name+" gets no requests", func() bool {
		before := b.Hits()
		for range n {
			s.Get(s.URL("PORT", "/"))
		}
		return b.Hits() == before
	})
}

// reloadAndSettle loads another Caddyfile and waits for the first answer under it, whatever it is: when Caddy hands a
// listener over, a connection that the old server had not accepted yet may end without one.
func (s *Server) reloadAndSettle(caddyfile string) {
	s.t.Helper()
	s.mustReload(caddyfile)
	s.Client.CloseIdleConnections()
	s.reached(s.URL("PORT", "/"))
}

func activeHealthOverReload(t *testing.T, proxy string) string {
	b := NewBackends(t, "A", "B")
	const caddyfile = `http://127.0.0.1:{$PORT} {
	{$PROXY} {$A} {$B} {
		lb_policy round_robin
		health_uri /health
		health_interval 50ms
		health_fails 2
	}
}
`
	s := startAs(t, proxy, caddyfile, addresses(b...))
	b[0].SetHealth(http.StatusServiceUnavailable)
	s.waitOut(b[0], 2)
	// One check comes at the start and the second, which would take it out, not while this test runs.
	s.reloadAndSettle(strings.Replace(caddyfile, "50ms", "1h", 1))
	before := b[0].Hits()
	s.spread(s.URL("PORT", "/"), 40)
	return fmt.Sprintf("%d of 40 requests go to it until checks have failed again", b[0].Hits()-before)
}

func passiveHealthOverReload(t *testing.T, proxy string) string {
	b := NewBackends(t, "A", "B")
	const caddyfile = `http://127.0.0.1:{$PORT} {
	{$PROXY} {$A} {$B} {
		lb_policy round_robin
		fail_duration 1h
		unhealthy_status 503
	}
}
`
	s := startAs(t, proxy, caddyfile, addresses(b...))
	b[0].Do(answer(http.StatusServiceUnavailable))
	s.waitOut(b[0], 2)
	b[0].Do(answer(http.StatusOK))
	before := b[0].Hits()
	s.reloadAndSettle(caddyfile + "\n# an edit elsewhere\n")
	for range 400 {
		s.Get(s.URL("PORT", "/"))
		if b[0].Hits() > before {
			return "it gets requests again"
		}
	}
	return "it gets none"
}

// badTrustedProxies has its range made invalid in JSON, so that a handler fails while it is provisioned.
const badTrustedProxies = "192.0.2.0/24"

func stateOverFailedReload(t *testing.T, proxy string) string {
	b := NewBackends(t, "A")
	const caddyfile = `http://127.0.0.1:{$PORT} {
	{$PROXY} {$A} {
		unhealthy_request_count 1
	}
}
`
	release := make(chan struct{})
	var seen atomic.Int64
	b[0].Do(func(w http.ResponseWriter, r *http.Request) {
		if seen.Add(1) == 1 {
			hang(release)(w, r)
			return
		}
		answer(http.StatusOK)(w, r)
	})
	s := startAs(t, proxy, caddyfile, addresses(b...))
	held := s.inBackground(s.URL("PORT", "/"))
	defer func() { close(release); <-held }()
	eventually(t, "the request is with the backend", func() bool { return seen.Load() == 1 })
	s.reloadAndSettle(caddyfile + "\n# an edit elsewhere\n")
	if r := s.Get(s.URL("PORT", "/")); r.Status != http.StatusServiceUnavailable {
		t.Fatalf("a second request was answered %d before any reload failed, want 503", r.Status)
	}

	bad := strings.Replace(caddyfile, "unhealthy", "trusted_proxies "+badTrustedProxies+"\n\t\tunhealthy", 1)
	adapted, _, err := adapt(s.expand(bad))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.ReloadJSON(strings.Replace(string(adapted), badTrustedProxies, "300.0.0.0/8", 1)); err == nil {
		t.Fatal("the configuration loads")
	}
	s.reloadAndSettle(caddyfile + "\n# another edit\n")
	switch r := s.Get(s.URL("PORT", "/")); r.Status {
	case http.StatusOK:
		return "a further request is given to it"
	case http.StatusServiceUnavailable:
		return "a further request is refused"
	default:
		return fmt.Sprintf("a further request is answered %d", r.Status)
	}
}

func waitingOverReload(t *testing.T, proxy string) string {
	b := NewBackends(t, "A")
	const caddyfile = `{
	debug
}
http://127.0.0.1:{$PORT} {
	{$PROXY} {$A} {
		lb_try_duration 1h
		lb_try_interval 50ms
	}
}
`
	b[0].Down()
	s := startAs(t, proxy, caddyfile, addresses(b...))
	answered := s.inBackground(s.URL("PORT", "/"))
	s.WaitLog(t, "that the backend was tried", func(l LogLine) bool { return l.Text("msg") == "upstream roundtrip" })
	s.mustReload(caddyfile + "\n# an edit elsewhere\n")
	b[0].Up()
	switch r := <-answered; r.Status {
	case http.StatusOK:
		return "200"
	default:
		return fmt.Sprintf("%d, at the reload", r.Status)
	}
}

func waitingWithoutClient(t *testing.T, proxy string) string {
	b := NewBackends(t, "A")
	release := make(chan struct{})
	b[0].Do(hang(release))
	s := startAs(t, proxy, `http://127.0.0.1:{$PORT} {
	log
	{$PROXY} {$A} {
		unhealthy_request_count 1
		lb_try_duration 2s
		lb_try_interval 50ms
	}
}
`, addresses(b...))
	held := s.inBackground(s.URL("PORT", "/first"))
	defer func() { close(release); <-held }()
	eventually(t, "the first request is with the backend", func() bool { return b[0].Hits() == 1 })
	conn, err := net.Dial("tcp", "127.0.0.1:"+s.vars["PORT"])
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Write([]byte("GET /second HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")); err != nil {
		t.Fatal(err)
	}
	conn.Close()
	line := s.WaitLog(t, "that the second request ended", func(l LogLine) bool {
		request, _ := l["request"].(map[string]any)
		return l["status"] != nil && request["uri"] == "/second"
	})
	switch status := textOf(line["status"]); status {
	case "503":
		return "it waits until `lb_try_duration` is over, and is logged as 503"
	default:
		return "it ends, and is logged as " + status
	}
}

func connectionsOverReload(t *testing.T, proxy string) string {
	b := NewBackends(t, "A")
	const caddyfile = `http://127.0.0.1:{$PORT} {
	{$PROXY} {$A}
}
`
	var connections set
	b[0].Do(func(w http.ResponseWriter, r *http.Request) {
		connections.add(r.RemoteAddr)
		answer(http.StatusOK)(w, r)
	})
	s := startAs(t, proxy, caddyfile, addresses(b...))
	s.spread(s.URL("PORT", "/"), 5)
	s.reloadAndSettle(caddyfile + "http://127.0.0.1:{$PORT2} {\n\trespond elsewhere\n}\n")
	s.spread(s.URL("PORT", "/"), 5)
	if connections.size() == 1 {
		return "1 connection to the backend"
	}
	return fmt.Sprintf("%d connections to the backend", connections.size())
}
