package caddytest

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

const reloadedQueue = "queue 10 1h"

// Those who wait under the old configuration have their turn before those of the new one.
func TestQueueKeepsOrderOverReloads(t *testing.T) {
	config := site(onePlace, reloadedQueue)
	s, g, first := occupied(t, config)
	waiters := []*waiting{first}
	for i := range 6 {
		waiters = append(waiters, s.wait(fmt.Sprint("/", i)))
		s.waitQueued(i + 1)
		if i%2 == 1 {
			s.mustReload(config + strings.Repeat("\n", i))
			s.waitQueued(i + 1)
		}
	}
	g.servesInOrder(t, 6, waiters)
}

// What a reload changes counts for those who wait, too.
func TestQueueSeesWhatReloadsChange(t *testing.T) {
	for _, c := range []struct{ name, from, to string }{
		{"more places", onePlace, "backend {$A} max_requests 3"},
		{"no bound", onePlace, "backend {$A}"},
		{"more backends", onePlace, onePlace + "\n\t\tbackend {$B} max_requests 2"},
		{"more backends of a hash", onePlace, onePlace + "\n\t\tbackend {$B} max_requests 2\n\t\tlb_policy consistent"},
		{"neither queue nor bound", onePlace + "\n\t\t" + reloadedQueue, "backend {$A}"},
		{"another backend", onePlace, "backend {$B}"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := NewBackends(t, "A", "B")
			g := newGate()
			b[0].Do(g.ServeHTTP)
			b[1].Do(g.ServeHTTP)
			config := site(onePlace, reloadedQueue)
			s := Start(t, config, addresses(b...))
			first := s.wait("/first")
			g.next(t)
			one := s.wait("/1")
			s.waitQueued(1)
			two := s.wait("/2")
			s.waitQueued(2)
			edited := strings.Replace(config, c.from, c.to, 1)
			if edited == config {
				t.Fatal("nothing is edited")
			}
			s.mustReload(edited)
			if got := map[string]bool{g.next(t): true, g.next(t): true}; !got["/1"] || !got["/2"] {
				t.Errorf("requests that come in are %v", got)
			}
			for range 3 {
				g.letGo(t)
			}
			for _, w := range []*waiting{first, one, two} {
				if r := w.reply(t); r.Status != http.StatusOK {
					t.Errorf("status %d", r.Status)
				}
			}
		})
	}
}

// Without their queue, or their pool, they keep their turn all the same.
func TestQueueOutlivesItsConfiguration(t *testing.T) {
	for name, edit := range map[string]*strings.Replacer{
		"without queue": strings.NewReplacer("\n\t\t"+reloadedQueue, ""),
		"without pool":  strings.NewReplacer("lb_pool p", "lb_pool q", "pool p", "pool q"),
	} {
		t.Run(name, func(t *testing.T) {
			config := site(onePlace, reloadedQueue)
			s, g, first := occupied(t, config)
			waiters := []*waiting{first}
			for i := range 3 {
				waiters = append(waiters, s.wait(fmt.Sprint("/", i)))
				s.waitQueued(i + 1)
			}
			s.mustReload(edit.Replace(config))
			g.servesInOrder(t, 3, waiters)
		})
	}
}

// A backend that recovers after a reload serves those who wait since before it, and does not let those behind them wait.
func TestWaitingSeesRecoveryAfterReload(t *testing.T) {
	for name, handler := range map[string]string{"queue": "", "lb_try_duration": "lb_try_duration 1h\n\t\tlb_try_interval 20ms"} {
		t.Run(name, func(t *testing.T) {
			b := NewBackends(t, "A", "B")
			g := newGate()
			b[0].Do(g.ServeHTTP)
			options := []string{"backend {$A} max_requests 1\n\t\tbackend {$B} max_requests 1", quickCheck}
			if handler == "" {
				options = append(options, reloadedQueue)
			}
			config := siteWith(handler+"\n\t\tverbose_logs", options...)
			s := Start(t, config, addresses(b...))
			s.setHealthy(b, 1)
			first := s.wait("/first")
			g.next(t)
			old := s.wait("/old")
			if handler == "" {
				s.waitQueued(1)
			} else {
				s.WaitLog(t, "that it waits", func(l LogLine) bool { return l.Text("msg") == "retrying" })
			}
			s.mustReload(config + "\n# an edit elsewhere\n")
			young := s.wait("/young")
			if handler == "" {
				s.waitQueued(2)
			}
			b[1].SetHealth(http.StatusOK)
			for _, w := range []*waiting{old, young} {
				if r := w.reply(t); r.Status != http.StatusOK || r.Backend() != "B" {
					t.Errorf("status %d from %q, want B", r.Status, r.Backend())
				}
			}
			g.letGo(t)
			first.reply(t)
		})
	}
}

// In a pool without a name as well.
func TestQueueOfAnonymousPoolOverReload(t *testing.T) {
	b := NewBackends(t, "A")
	g := newGate()
	b[0].Do(g.ServeHTTP)
	const config = `http://127.0.0.1:{$PORT} {
	lb_proxy {
		backend {$A} max_requests 1
		queue 10 1h
	}
}
`
	s := Start(t, config, addresses(b...))
	waiters := []*waiting{s.wait("/first")}
	g.next(t)
	for i := range 4 {
		waiters = append(waiters, s.wait(fmt.Sprint("/", i)))
		eventually(t, "it waits", func() bool { return s.coping("127.0.0.1:"+s.vars["PORT"]).Queued == i+1 })
		s.mustReload(config + strings.Repeat("\n", i+1))
	}
	s.mustReload(strings.Replace(config, "max_requests 1", "max_requests 2", 1))
	if path := g.next(t); path != "/0" {
		t.Errorf("the next request is %s, want /0", path)
	}
	for i := 1; i < 4; i++ {
		g.letGo(t)
		if path := g.next(t); path != fmt.Sprint("/", i) {
			t.Errorf("the next request is %s, want /%d", path, i)
		}
	}
	for range 2 {
		g.letGo(t)
	}
	for _, w := range waiters {
		if r := w.reply(t); r.Status != http.StatusOK {
			t.Errorf("status %d", r.Status)
		}
	}
	eventually(t, "nobody waits", func() bool { return s.coping("127.0.0.1:"+s.vars["PORT"]).Queued == 0 })
}

// Under load and one reload after another, with edits of places and backends, every request is served.
func TestQueueUnderReloads(t *testing.T) {
	b := NewBackends(t, "A", "B", "C")
	for _, one := range b {
		one.Do(func(w http.ResponseWriter, r *http.Request) {
			time.Sleep(2 * time.Millisecond)
			answer(http.StatusOK)(w, r)
		})
	}
	const backends = "backend {$A} max_requests 2\n\t\tbackend {$B} max_requests 2"
	config := site(backends, "queue 100 1h", quickCheck, detection("consecutive_5xx 3"), block("limits", "requests 5"), "slow_start 1s")
	edits := []string{
		config,
		strings.Replace(config, "{$A} max_requests 2", "{$A} max_requests 1", 1),
		strings.Replace(config, backends, backends+"\n\t\tbackend {$C}", 1),
		strings.Replace(config, "{$B}", "{$C}", 1),
		strings.Replace(config, "requests 5", "requests 3", 1),
	}
	s := Start(t, config, addresses(b...))
	stop := make(chan struct{})
	var served, waited atomic.Int64
	var clients sync.WaitGroup
	for range 24 {
		client := newClient(t)
		clients.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				r, err := fetch(client, newRequest(t, http.MethodGet, s.URL("PORT", "/"), ""))
				switch {
				case err != nil: // the connection was lost with the listener
				case r.Status != http.StatusOK:
					t.Errorf("status %d: %s", r.Status, r.Body)
				default:
					served.Add(1)
				}
			}
		})
	}
	for i := range 25 {
		s.mustReload(edits[i%len(edits)])
		waited.Add(int64(s.coping("p").Queued))
		before := served.Load()
		eventually(t, "requests are served", func() bool { return served.Load() > before+50 })
	}
	close(stop)
	clients.Wait()
	if waited.Load() == 0 {
		t.Error("nobody ever waited, so the test shows nothing")
	}
	s.settle()
	s.waitQueued(0)
	// Every place is free again.
	s.mustReload(config)
	s.Client.CloseIdleConnections()
	g := newGate()
	b[0].Do(g.ServeHTTP)
	b[1].Do(g.ServeHTTP)
	var waiters []*waiting
	for range 4 {
		waiters = append(waiters, s.wait("/"))
		g.next(t)
	}
	for range waiters {
		g.letGo(t)
	}
	for _, w := range waiters {
		w.reply(t)
	}
}
