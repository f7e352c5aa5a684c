package lbproxy

import (
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/caddylb/caddy-lb/lb"
)

// Every view of a dynamic source tells of its backends, not only the one that was made last.
func TestEveryViewTells(t *testing.T) {
	a, b := startBackend(t, text("a")), startBackend(t, text("b"))
	p := startProxy(t, `"dynamic_upstreams":{"source":"test_by_request"}`)
	for _, one := range []*backend{a, b} {
		if got := p.get("/", "X-To", one.Listener.Addr().String()); got.status != http.StatusOK {
			t.Fatalf("answered %d", got.status)
		}
	}
	a.Close()
	p.get("/", "X-To", a.Listener.Addr().String())
	logLine(t, "backend cannot be connected to", a.Listener.Addr().String())
}

// When the view that tells is given back, another one goes on.
func TestViewHandsOnTheTelling(t *testing.T) {
	a, b := startBackend(t, text("a")), startBackend(t, text("b"))
	p := startProxy(t, `"dynamic_upstreams":{"source":"test_by_request"}`)
	p.get("/", "X-To", a.Listener.Addr().String())
	p.get("/", "X-To", b.Listener.Addr().String())
	views := runningPools()
	if len(views) != 2 {
		t.Fatalf("there are %d views", len(views))
	}
	g := views[0].group
	last := (*g.views.Load())[1]
	rest := (*g.views.Load())[:1]
	g.views.Store(&rest)
	last.release()
	if teller := last.state.teller.Load(); teller != rest[0].pool {
		t.Errorf("%p tells, want %p", teller, rest[0].pool)
	}
}

// Passive checks, and what was told of a backend, are shared with the configuration before, while a
// pool gets its identity. It is the race detector that fails this test.
func TestBackendsChangeWhileAPoolIsLoaded(t *testing.T) {
	const passive = `,"health_checks":{"passive":{"fail_duration":"1ms"}},"load_balancing":{"retries":3}`
	bad := startBackend(t, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	good := startBackend(t, text("good"))
	configs := []string{upstreams(bad.URL, "127.0.0.1:1") + passive, upstreams(bad.URL, good.URL) + passive}
	p := startProxy(t, configs[0])
	stop := make(chan struct{})
	var clients sync.WaitGroup
	for range 4 {
		clients.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if res, err := p.client.Get(p.url("/")); err == nil {
					_ = res.Body.Close()
				}
			}
		})
	}
	for i := range 20 {
		p.load(configs[i%2])
	}
	close(stop)
	clients.Wait()
}

// Pools of thousands of backends are looked at with each change, of which most are no news.
func TestNoNewsDoesNotAllocate(t *testing.T) {
	e := &entry{stats: new(stats)}
	m := &lb.Member{Backend: lb.NewBackend(lb.Address{Host: "127.0.0.1", Port: "1"}, time.Now()), Weight: 1}
	n := new(news)
	if got := testing.AllocsPerRun(100, func() { n.tellBackend(e, m) }); got != 0 {
		t.Errorf("%v allocations", got)
	}
}
