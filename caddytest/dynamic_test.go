package caddytest

import (
	"testing"
)

// DNS servers answer in another order each time; the backends are the same.
func TestOrderOfADynamicAnswerDoesNotMatter(t *testing.T) {
	port := freePort(t)
	newBackendAt(t, "A", "127.0.0.1:"+port)
	newBackendAt(t, "B", "127.0.0.2:"+port)
	z := newZone(t, "app.internal", "127.0.0.1", "127.0.0.2")
	s := Start(t, `http://127.0.0.1:{$PORT} {
	lb_proxy {
		dynamic a app.internal {$PORT1} {
			refresh 10ms
			resolvers {$DNS}
		}
	}
}
`, map[string]string{"PORT1": port, "DNS": z.addr})
	for range 3 {
		for _, ips := range [][]string{{"127.0.0.1", "127.0.0.2"}, {"127.0.0.2", "127.0.0.1"}} {
			z.set(ips...)
			z.fail(false)
			eventually(t, "DNS is asked", func() bool {
				s.spread(s.URL("PORT", "/"), 2)
				return z.asks() > 4
			})
		}
	}
	answers := 0
	for _, p := range s.pools() {
		if len(p.Backends) > 0 {
			answers++
		}
	}
	if answers != 1 {
		t.Errorf("there are %d pools for one set of backends", answers)
	}
	if count := s.spread(s.URL("PORT", "/"), 20); count["A"] != 10 {
		t.Errorf("shares are %v, want 10 each", count)
	}
}
