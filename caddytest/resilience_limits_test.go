package caddytest

import (
	"math"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// A pool's bound on requests holds over all its backends, whatever each of them may serve.
func TestLimitOfRequests(t *testing.T) {
	for _, queue := range []string{"", "queue 5 1h"} {
		t.Run(queue, func(t *testing.T) {
			b := NewBackends(t, "A", "B")
			g := newGate()
			b[0].Do(g.ServeHTTP)
			b[1].Do(g.ServeHTTP)
			options := []string{"to {$A} {$B}", block("limits", "requests 2")}
			if queue != "" {
				options = append(options, queue)
			}
			config := site(options...)
			s := Start(t, config, addresses(b...))
			waiters := []*waiting{s.wait("/1"), s.wait("/2")}
			g.next(t)
			g.next(t)
			if queue == "" {
				shed(t, s.Get(s.URL("PORT", "/")))
				s.mustReload(config + "\n# an edit elsewhere\n")
				s.Client.CloseIdleConnections()
				shed(t, s.reached(s.URL("PORT", "/")))
				if n := s.poolMetric("shed_total", "reason", "full"); n != 2 {
					t.Errorf("the metric of refused requests is %v, want 2", n)
				}
			} else {
				waiters = append(waiters, s.wait("/3"), s.wait("/4"))
				s.waitQueued(2)
				g.letGo(t)
				g.next(t)
				s.waitQueued(1)
				s.mustReload(strings.Replace(config, "requests 2", "requests 3", 1)) // one more place
				g.next(t)
				g.letGo(t)
			}
			for range 2 {
				g.letGo(t)
			}
			for _, w := range waiters {
				if r := w.reply(t); r.Status != http.StatusOK {
					t.Errorf("status %d", r.Status)
				}
			}
			s.settle()
		})
	}
}

// All places come back, however requests end.
func TestLimitOfRequestsIsGivenBack(t *testing.T) {
	b := NewBackends(t, "A", "B")
	s := Start(t, siteWith("lb_retries 2", "to {$A} {$B}", block("limits", "requests 3")), addresses(b...))
	for _, behave := range []http.HandlerFunc{answer(200), answer(500), hangUp, breakOff} {
		b[0].Do(behave)
		for range 12 {
			s.ask()
		}
	}
	b[0].Down()
	for range 12 {
		s.ask()
	}
	b[0].Up()
	g := newGate()
	b[0].Do(g.ServeHTTP)
	b[1].Do(g.ServeHTTP)
	for range 5 {
		w := s.wait("/gone")
		g.next(t)
		w.leave()
		<-w.answered
		s.settle()
	}
	waiters := []*waiting{s.wait("/1"), s.wait("/2"), s.wait("/3")}
	for range waiters {
		g.next(t)
	}
	shed(t, s.Get(s.URL("PORT", "/")))
	for range waiters {
		g.letGo(t)
	}
	for _, w := range waiters {
		if r := w.reply(t); r.Status != http.StatusOK {
			t.Errorf("status %d", r.Status)
		}
	}
}

// A request that would need one connection too many is refused, and that is nobody's failure.
func TestLimitOfConnections(t *testing.T) {
	b := NewBackends(t, "A", "B")
	g := newGate()
	b[0].Do(g.ServeHTTP)
	b[1].Do(g.ServeHTTP)
	config := site("to {$A} {$B}", "fail_duration 1h", "max_fails 1", detection("consecutive_connect_failure 1", "consecutive_gateway_failure 1"),
		block("limits", "connections 2"))
	s := Start(t, config, addresses(b...))
	waiters := []*waiting{s.wait("/1"), s.wait("/2")}
	g.next(t)
	g.next(t)
	for range 3 {
		shed(t, s.Get(s.URL("PORT", "/")))
	}
	for _, one := range b {
		if l := s.level(one); l.State != "up" || l.Failures != 0 || l.Latency != 0 || l.Outlier.Ejections != 0 {
			t.Errorf("a limit of the pool is held against %s: %+v", one.Name, l)
		}
	}
	for range waiters {
		g.letGo(t)
	}
	for _, w := range waiters {
		if r := w.reply(t); r.Status != http.StatusOK {
			t.Errorf("status %d", r.Status)
		}
	}
	// An idle connection makes room for one to another backend.
	s.patch("p", b[0].Addr, `{"drain":true}`)
	waiters = []*waiting{s.wait("/3"), s.wait("/4")}
	for range waiters {
		g.next(t)
		g.letGo(t)
	}
	for _, w := range waiters {
		if r := w.reply(t); r.Backend() != "B" {
			t.Errorf("status %d from %q, want B", r.Status, r.Backend())
		}
	}
	s.mustReload(strings.Replace(config, "connections 2", "connections 9", 1))
	waiters = nil
	for range 5 {
		waiters = append(waiters, s.wait("/5"))
		g.next(t)
	}
	for range waiters {
		g.letGo(t)
	}
	for _, w := range waiters {
		if r := w.reply(t); r.Status != http.StatusOK {
			t.Errorf("with a bound that was raised: status %d", r.Status)
		}
	}
}

// crowd is a backend that copes with so many requests at once; further ones wait inside it.
type crowd struct {
	places  chan struct{}
	service time.Duration
	now     atomic.Int64

	mu   sync.Mutex
	seen []int64 // requests under way, as each one came
}

func (c *crowd) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	c.seen = append(c.seen, c.now.Add(1))
	c.mu.Unlock()
	defer c.now.Add(-1)
	c.places <- struct{}{}
	time.Sleep(c.service)
	<-c.places
	answer(http.StatusOK)(w, r)
}

// usual is how many requests were under way most of the time, as the last n came.
func (c *crowd) usual(n int) int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.seen) < n {
		return math.MaxInt64
	}
	last := slices.Clone(c.seen[len(c.seen)-n:])
	slices.Sort(last)
	return last[len(last)*9/10]
}

// A backend that is asked for far more than it copes with gets about that much, and what is over is refused instead of slow.
func TestAdaptiveConcurrency(t *testing.T) {
	// Busy machines add some ms to an answer, which is little beside its 60, and the bound is not tight.
	const copes, clients, bound = 16, 80, 56
	b := NewBackends(t, "A")
	c := &crowd{places: make(chan struct{}, copes), service: 60 * time.Millisecond}
	b[0].Do(c.ServeHTTP)
	config := site("to {$A}", block("adaptive_concurrency", "initial 60", "min 4"), "queue 5 100ms")
	s := Start(t, config, addresses(b...))
	if l := s.level(b[0]); l.Limit != 60 {
		t.Errorf("the limit begins at %d, want 60", l.Limit)
	}
	stop := make(chan struct{})
	var served, refused atomic.Int64
	var all sync.WaitGroup
	for range clients {
		client := newClient(t)
		all.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				r, err := fetch(client, newRequest(t, http.MethodGet, s.URL("PORT", "/"), ""))
				switch {
				case err != nil: // at the reload
				case r.Status == http.StatusOK:
					served.Add(1)
				default:
					refused.Add(1)
					time.Sleep(c.service)
				}
			}
		})
	}
	// The limit settles where limit - √limit is 1.5 times what the backend copes with, near 30.
	s.waitLevel(b[0], "has found a limit", func(l backendLevel) bool {
		return l.Limit >= copes && l.Limit <= bound && c.usual(600) <= bound
	})
	s.mustReload(config + "\n# an edit elsewhere\n")
	if l := s.level(b[0]); l.Limit > bound || l.Limit < copes {
		t.Errorf("after a reload the limit is %d", l.Limit)
	}
	before, began := served.Load(), time.Now()
	time.Sleep(time.Second)
	rate := float64(served.Load()-before) / time.Since(began).Seconds()
	usual := c.usual(200)
	close(stop)
	all.Wait()
	capacity := copes / c.service.Seconds()
	t.Logf("%.0f of %.0f requests a second, %d at once, limit %d", rate, capacity, usual, s.level(b[0]).Limit)
	if usual > bound {
		t.Errorf("the backend that copes with %d has %d requests at once", copes, usual)
	}
	if rate < 0.6*capacity {
		t.Errorf("it serves %.0f requests a second and could serve %.0f", rate, capacity)
	}
	if refused.Load() == 0 {
		t.Error("nothing was refused, so the test shows nothing")
	}
	if limit := s.poolMetric("backend_concurrency_limit", "backend", b[0].Addr); limit < copes || limit > bound {
		t.Errorf("the metric of the limit is %v", limit)
	}
}
