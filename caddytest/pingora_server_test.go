package caddytest

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
)

func setEnable(t *testing.T, x pingoraExample) {
	b := sortedBackends(t, "A", "B")
	s := pingoraPage(t)["api"].start(t, addresses(b...))
	x.text = rewrite(t, x.text, "localhost:2019", s.admin, "127.0.0.1:9001", b[0].Addr)
	sh := newShell(t, x, "", s.vars)
	sh.run(sh.line(`"drain": true`))
	if got := s.order(s.URL("PORT", "/"), 4); got != "B B B B" {
		t.Errorf("with A disabled %s answered", got)
	}
	s.mustReload(strings.Replace(pingoraPage(t)["api"].caddyfile(), "backend {$B}", "backend {$B} weight 2", 1))
	if state := s.backend("api", b[0].Addr).State; state != "drained" {
		t.Errorf("after a reload the backend is %s", state)
	}
	s.reached(s.URL("PORT", "/"))
	sh.run(sh.line(`"drain": false`))
	if count := s.spread(s.URL("PORT", "/"), 6); count["A"] != 2 {
		t.Errorf("with A enabled again the shares are %v", count)
	}
}

// arrivals makes each of a number of requests wait until all of them have come, and notes where from.
type arrivals struct {
	mu      sync.Mutex
	clients []string
	all     sync.WaitGroup
}

func (a *arrivals) handle(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	a.clients = append(a.clients, r.RemoteAddr)
	a.mu.Unlock()
	a.all.Done()
	a.all.Wait()
	answer(http.StatusOK)(w, r)
}

// burst sends n requests at once and returns the addresses that they came to the backend from.
func burst(t *testing.T, s *Server, b *Backend, n int) []string {
	t.Helper()
	var a arrivals
	a.all.Add(n)
	b.Do(a.handle)
	var done sync.WaitGroup
	for range n {
		answered := s.inBackground(s.URL("PORT", "/"))
		done.Go(func() { <-answered })
	}
	done.Wait()
	return a.clients
}

func serverConfiguration(t *testing.T, x pingoraExample) {
	b := NewBackend(t, "A")
	log := filepath.Join(t.TempDir(), "caddy.log")
	x.text = rewrite(t, x.text, "/var/log/caddy.log", log, "grace_period 10s", "grace_period 100ms",
		"local_address 127.0.0.1", "local_address 127.0.0.2")
	bin, err := buildServer()
	if err != nil {
		t.Fatal(err)
	}
	vars := addresses(b)
	sh := newShell(t, x, x.caddyfile(), vars)
	sh.run(filepath.Base(bin) + " start --config Caddyfile --pidfile caddy.pid")

	// Of the four connections of the first burst one at most is kept.
	seen := make(map[string]bool)
	for _, client := range burst(t, sh.Server, b, 4) {
		if !strings.HasPrefix(client, "127.0.0.2:") {
			t.Errorf("a request came from %s, want local_address", client)
		}
		seen[client] = true
	}
	fresh := 0
	for _, client := range burst(t, sh.Server, b, 4) {
		if !seen[client] {
			fresh++
		}
	}
	if fresh < 3 {
		t.Errorf("%d of 4 connections are new, want all but the one that may be idle", fresh)
	}

	// The request never ends; the server does, after the grace period.
	never := make(chan struct{})
	b.Do(hang(never))
	before := b.Hits()
	req := newRequest(t, http.MethodGet, sh.URL("PORT", "/"), "")
	cut := make(chan error, 1)
	go func() {
		_, err := fetch(sh.Client, req)
		cut <- err
	}()
	eventually(t, "the request is with the backend", func() bool { return b.Hits() > before })
	if err := syscall.Kill(sh.pid(), syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	sh.waitEnd()
	if err := <-cut; err == nil {
		t.Error("a request longer than the grace period was answered")
	}
	text, err := os.ReadFile(log)
	if err != nil || !strings.Contains(string(text), `"level":"debug"`) {
		t.Errorf("the log has no line of the level debug, %v:\n%.2000s", err, text)
	}
}
