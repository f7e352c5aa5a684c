package caddytest

import (
	"maps"
	"net/http"
	"sync"
	"testing"
)

const weighted511 = `{
	lb_pool p {
		backend {$A} weight 5
		backend {$B} weight 1
		backend {$C} weight 1
	}
}
http://127.0.0.1:{$PORT} {
	lb_proxy {
		pool p
	}
}
`

func TestRoundRobinSharesExactly(t *testing.T) {
	b := NewBackends(t, "A", "B", "C")
	s := Start(t, weighted511, addresses(b...))
	count := make(map[string]int)
	last, run, longest := "", 0, 0
	for range 7000 {
		name := s.Get(s.URL("PORT", "/")).Backend()
		count[name]++
		if name != last {
			last, run = name, 0
		}
		run++
		longest = max(longest, run)
	}
	if want := map[string]int{"A": 5000, "B": 1000, "C": 1000}; !maps.Equal(count, want) {
		t.Errorf("shares are %v, want %v", count, want)
	}
	if longest > 3 {
		t.Errorf("a backend got %d requests in a row, want at most 3", longest)
	}
}

func TestRoundRobinSharesExactlyUnderConcurrency(t *testing.T) {
	b := NewBackends(t, "A", "B", "C")
	s := Start(t, weighted511, addresses(b...))
	var wg sync.WaitGroup
	for range 7 {
		wg.Go(func() {
			for range 200 {
				r, err := fetch(s.Client, newRequest(t, http.MethodGet, s.URL("PORT", "/"), ""))
				if err != nil || r.Status != http.StatusOK {
					t.Errorf("status %d, %v", r.Status, err)
					return
				}
			}
		})
	}
	wg.Wait()
	if b[0].Hits() != 1000 || b[1].Hits() != 200 || b[2].Hits() != 200 {
		t.Errorf("shares are %d, %d, %d, want 1000, 200, 200", b[0].Hits(), b[1].Hits(), b[2].Hits())
	}
}

func TestRoundRobinSharesOfADownBackendGoByWeight(t *testing.T) {
	b := NewBackends(t, "A", "B", "C")
	s := Start(t, `{
	lb_pool p {
		backend {$A} weight 5
		backend {$B} weight 3
		backend {$C} weight 1
		health_check http /health {
			interval 50ms
		}
	}
}
http://127.0.0.1:{$PORT} {
	lb_proxy {
		pool p
	}
}
`, addresses(b...))
	b[0].Down()
	s.waitState("p", b[0].Addr, "down")
	count := s.spread(s.URL("PORT", "/"), 2000)
	if want := map[string]int{"B": 1500, "C": 500}; !maps.Equal(count, want) {
		t.Errorf("shares are %v, want %v", count, want)
	}
}
