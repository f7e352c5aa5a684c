package lbproxy

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
)

// tally counts what its backends are given, by the number of the try: "A1" is a first try of A.
type tally struct {
	mu    sync.Mutex
	count map[string]int
}

// tryNumber is the JSON member that has the tally's backends told the number of the try.
const tryNumber = `,"headers":{"request":{"set":{"X-Try":["{http.reverse_proxy.tries}"]}}}`

// backend starts a backend of this name, which handles requests as it is told.
func (c *tally) backend(t *testing.T, name string, handle http.HandlerFunc) *backend {
	return startBackend(t, func(w http.ResponseWriter, r *http.Request) {
		c.mu.Lock()
		c.count[name+r.Header.Get("X-Try")]++
		c.mu.Unlock()
		handle(w, r)
	})
}

func (c *tally) of(key string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.count[key]
}

// between fails unless each key was counted so often.
func (c *tally) between(t *testing.T, least, most int, keys ...string) {
	t.Helper()
	for _, key := range keys {
		if n := c.of(key); n < least || n > most {
			t.Errorf("%s: %d, want %d to %d", key, n, least, most)
		}
	}
}

func status(code int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
}

func (p *proxy) getAll(n int) {
	p.t.Helper()
	for range n {
		if r := p.get("/"); r.status != http.StatusOK {
			p.t.Fatalf("status %d", r.status)
		}
	}
}

// A backend that always fails has its share of first tries and not all of them, and the others
// share its requests.
func TestRetriesLeaveTheRotationAlone(t *testing.T) {
	const retryOn = `,"load_balancing":{"retries":1,"retry_on":["gateway"]}`
	c := &tally{count: make(map[string]int)}
	good, bad := c.backend(t, "A", status(200)), c.backend(t, "B", status(503))
	p := startProxy(t, upstreams(good.URL, bad.URL)+retryOn+tryNumber)
	p.getAll(100)
	c.between(t, 50, 50, "A1", "B1", "A2")

	c.count = make(map[string]int)
	other := c.backend(t, "C", status(200))
	p.load(upstreams(good.URL, bad.URL, other.URL) + retryOn + tryNumber)
	p.getAll(120)
	c.between(t, 40, 40, "A1", "B1", "C1")
	c.between(t, 20, 20, "A2", "C2")
}

// The same holds where nobody listens, which is not a retry.
func TestConnectFailuresLeaveTheRotationAlone(t *testing.T) {
	c := &tally{count: make(map[string]int)}
	one, two := c.backend(t, "A", status(200)), c.backend(t, "C", status(200))
	p := startProxy(t, upstreams(one.URL, freeAddress(t), two.URL)+tryNumber)
	p.getAll(120)
	c.between(t, 40, 40, "A1", "C1")
	c.between(t, 20, 20, "A2", "C2")
}

// Nor does a hedge take a turn, made or not yet allowed by its budget.
func TestHedgesLeaveTheRotationAlone(t *testing.T) {
	c := &tally{count: make(map[string]int)}
	slow := c.backend(t, "B", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	one, two := c.backend(t, "A", status(200)), c.backend(t, "C", status(200))
	// A third of the requests is hedged: the first look finds the budget's early part used up, a
	// later one does not.
	p := startProxy(t, upstreams(slow.URL, one.URL, two.URL)+`,"hedge":{"delay":"100ms","max_percent":40}`+tryNumber)
	p.getAll(24)
	c.between(t, 8, 8, "A1", "B1", "C1")
	c.between(t, 4, 4, "A2", "C2")
	settled(t)
}

// A request that finds every place taken takes no turn, however often it looks while it waits.
func TestRequestsWithoutAPlaceLeaveTheRotationAlone(t *testing.T) {
	for name, options := range map[string]string{"refused": "", "queued": `,"load_balancing":{"queue":{"size":10,"timeout":"20ms"}}`} {
		t.Run(name, func(t *testing.T) {
			c := &tally{count: make(map[string]int)}
			var members []string
			for _, name := range []string{"A", "B"} {
				members = append(members, fmt.Sprintf(`{"dial":%q,"max_requests":1}`, hostOf(c.backend(t, name, status(200)).URL)))
			}
			p := startProxy(t, `"upstreams":[`+strings.Join(members, ",")+`]`+options+tryNumber)
			for range 6 {
				settled(t)
				for _, m := range runningPools()[0].Snapshot().Members {
					if !m.Acquire() {
						t.Fatal("no free place")
					}
				}
				if r := p.get("/"); r.status != http.StatusServiceUnavailable {
					t.Fatalf("status %d without a free place", r.status)
				}
				for _, m := range runningPools()[0].Snapshot().Members {
					m.Release()
				}
				p.getAll(1)
			}
			c.between(t, 3, 3, "A1", "B1")
		})
	}
}

// Copies for the pool that the requests themselves go to take none of its turns.
func TestMirrorsLeaveTheRotationAlone(t *testing.T) {
	answer := func(name string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, name) }
	}
	c := &tally{count: make(map[string]int)}
	a, b := c.backend(t, "A", answer("A")), c.backend(t, "B", answer("B"))
	p := startProxy(t, `"pool":"p","mirror":[{"pool":"p"}]`,
		serverOptions{apps: `"lb":{"pools":{"p":{` + upstreams(a.URL, b.URL) + `}}}`})
	answers := make(map[string]int)
	for i := range 20 {
		answers[p.get("/").body]++
		eventually(t, "copy", func() bool { return c.of("A")+c.of("B") == 2*(i+1) })
	}
	if answers["A"] != 10 || answers["B"] != 10 {
		t.Errorf("answers %v, want 10 of each", answers)
	}
	c.between(t, 20, 20, "A", "B")
}
