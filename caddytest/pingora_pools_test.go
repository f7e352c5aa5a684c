package caddytest

import (
	"maps"
	"net/http"
	"testing"
)

func tryFromIter(t *testing.T, x pingoraExample) {
	b := sortedBackends(t, "A", "B")
	// The order of the file is the other one.
	s := x.start(t, map[string]string{"A": b[1].Addr, "B": b[0].Addr})
	if got := s.order(s.URL("PORT", "/"), 6); got != "A B A B A B" {
		t.Errorf("the backends answered in the order %s, want that of the file from the second on", got)
	}
	b[0].Down()
	b[1].Down()
	if r := s.Get(s.URL("PORT", "/")); r.Status != http.StatusBadGateway {
		t.Errorf("without a backend that connects: status %d, want 502", r.Status)
	}
}

func fromBackends(t *testing.T, x pingoraExample) {
	b := sortedBackends(t, "A", "B", "C")
	s := x.start(t, addresses(b...))
	last := ""
	for range 10 {
		count := make(map[string]int)
		for range 6 {
			name := s.Get(s.URL("PORT", "/")).Backend()
			if name == last {
				t.Errorf("%s answered twice in a row", name)
			}
			last = name
			count[name]++
		}
		if want := map[string]int{"A": 3, "B": 2, "C": 1}; !maps.Equal(count, want) {
			t.Errorf("six requests went to %v, want %v", count, want)
		}
	}
}

func dnsNames(t *testing.T, x pingoraExample) {
	port := freePort(t)
	newBackendAt(t, "A", "127.0.0.1:"+port)
	newBackendAt(t, "B", "127.0.0.2:"+port)
	c := newBackendAt(t, "C", "127.0.0.3:"+port)
	z := newZone(t, "app.internal", "127.0.0.1", "127.0.0.2")
	x.text = rewrite(t, x.text, "app.internal:9001", "app.internal:"+port, "update_frequency 10s", "update_frequency 100ms")
	s := x.start(t, map[string]string{"DNS": z.addr})
	if got := s.order(s.URL("PORT", "/"), 4); got != "B A B A" {
		t.Errorf("the backends answered in the order %s, want one for each address of the name", got)
	}
	z.set("127.0.0.3")
	pool := s.onlyPool()
	eventually(t, "the pool follows the name", func() bool {
		members := s.members(pool)
		return len(members) == 1 && members[0] == c.Addr
	})
	if got := s.order(s.URL("PORT", "/"), 2); got != "C C" {
		t.Errorf("after the change %s answered", got)
	}
}

func randomPolicy(t *testing.T, x pingoraExample) {
	b := sortedBackends(t, "A", "B")
	s := x.start(t, addresses(b...))
	// The number of changes from one backend to the other tells a random order from turns. Each bound is more
	// than six standard deviations away.
	const n = 400
	count, changes, last := make(map[string]int), 0, ""
	for range n {
		name := s.Get(s.URL("PORT", "/")).Backend()
		count[name]++
		if name != last {
			changes++
		}
		last = name
	}
	if count["A"] < n/2-62 || count["A"] > n/2+62 || changes < n/2-62 || changes > n/2+62 {
		t.Errorf("of %d requests %v, with %d changes", n, count, changes)
	}
}

func fallbackWeights(t *testing.T, x pingoraExample) {
	b := sortedBackends(t, "A", "B", "C", "D")
	s := x.start(t, addresses(b...))
	pool := s.onlyPool()
	if state := s.backend(pool, b[3].Addr).State; state != "drained" {
		t.Errorf("the backend of weight 0 is %s, want drained", state)
	}
	b[0].Do(answer(http.StatusServiceUnavailable))
	s.waitState(pool, b[0].Addr, "down")
	if count, want := s.spread(s.URL("PORT", "/"), 400), map[string]int{"B": 300, "C": 100}; !maps.Equal(count, want) {
		t.Errorf("without A the shares are %v, want %v", count, want)
	}
	b[1].Do(answer(http.StatusServiceUnavailable))
	b[2].Do(answer(http.StatusServiceUnavailable))
	s.waitState(pool, b[1].Addr, "down")
	s.waitState(pool, b[2].Addr, "down")
	if r := s.Get(s.URL("PORT", "/")); r.Status != http.StatusServiceUnavailable || r.Backend() != "" {
		t.Errorf("without an available backend: status %d from %q, want 503 from the balancer", r.Status, r.Backend())
	}

	// The new weight is the only thing that changes.
	s.mustReload(rewrite(t, x.caddyfile(), "{$A} weight 5", "{$A} weight 7"))
	if a := s.backend(pool, b[0].Addr); a.State != "down" || a.Weight != 7 {
		t.Errorf("after a new weight the backend is %s with weight %d, want down and 7", a.State, a.Weight)
	}
}

func severalServices(t *testing.T, x pingoraExample) {
	b := sortedBackends(t, "A", "B", "C")
	s := x.start(t, addresses(b...))
	got := ""
	for _, port := range []string{"PORT", "PORT1", "PORT2", "PORT"} {
		got += s.Get(s.URL(port, "/")).Backend()
	}
	if got != "BABA" {
		t.Errorf("over three listeners %s answered, want one rotation", got)
	}
	for _, port := range []string{"PORT", "PORT1"} {
		if r := s.Get(s.URL(port, "/static/x")); r.Backend() != "C" {
			t.Errorf("/static/x went to %s, want C", r.Backend())
		}
	}
	s.patch("app", b[0].Addr, `{"drain":true}`)
	for _, port := range []string{"PORT", "PORT1", "PORT2"} {
		if got := s.order(s.URL(port, "/"), 2); got != "B B" {
			t.Errorf("with A drained %s answered", got)
		}
	}
}

func metricsService(t *testing.T, x pingoraExample) {
	b := sortedBackends(t, "A", "B")
	s := x.start(t, addresses(b...))
	s.spread(s.URL("PORT", "/"), 10)
	if got := s.metric("caddy_lb_requests_total", "pool", "api", "backend", b[0].Addr, "code", "2xx"); got != 5 {
		t.Errorf("%v requests are counted, want 5", got)
	}
	own := s.Get(s.URL("PORT4", "/any/path"))
	if want := `caddy_lb_backend_up{backend="` + b[1].Addr + `",pool="api"} 1`; !containsLine(own.Body, want) {
		t.Errorf("the service does not show %s:\n%s", want, own.Body)
	}
}
