package caddytest

import (
	"fmt"
	"net/http"
	"sync"
	"testing"
)

const onePlace = "backend {$A} max_requests 1"

// occupied starts a server over A with one place, which a request has taken.
func occupied(t *testing.T, config string) (s *Server, g *gate, first *waiting) {
	t.Helper()
	b := NewBackends(t, "A")
	g = newGate()
	b[0].Do(g.ServeHTTP)
	s = Start(t, config, addresses(b...))
	first = s.wait("/first")
	g.next(t)
	return s, g, first
}

// shed checks that a request was refused for want of a place.
func shed(t *testing.T, r Reply) {
	t.Helper()
	if r.Status != http.StatusServiceUnavailable || r.Header.Get("Retry-After") != "1" {
		t.Errorf("status %d with Retry-After %q, want 503 with 1", r.Status, r.Header.Get("Retry-After"))
	}
}

// Requests have their turn in the order in which they came.
func TestQueueKeepsOrder(t *testing.T) {
	s, g, first := occupied(t, site(onePlace, "queue 10 1h"))
	waiters := []*waiting{first}
	for i := range 8 {
		waiters = append(waiters, s.wait(fmt.Sprint("/", i)))
		s.waitQueued(i + 1)
	}
	if queued := s.poolMetric("queued_requests"); queued != 8 {
		t.Errorf("the metric of the queue is %v, want 8", queued)
	}
	g.servesInOrder(t, 8, waiters)
	s.waitQueued(0)
}

// A request that comes just when a place becomes free does not overtake those who wait for it.
func TestQueueIsNotOvertaken(t *testing.T) {
	const n = 30
	s, g, first := occupied(t, site(onePlace, fmt.Sprintf("queue %d 1h", n)))
	waiters := []*waiting{first}
	for i := range n {
		waiters = append(waiters, s.wait(fmt.Sprint("/", i)))
		s.waitQueued(i + 1)
	}
	// With the queue full these come again at once.
	stop := make(chan struct{})
	var intruders sync.WaitGroup
	for range 4 {
		client := newClient(t)
		intruders.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if _, err := fetch(client, newRequest(t, http.MethodGet, s.URL("PORT", "/intruder"), "")); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for i := range n {
		g.letGo(t)
		if path := g.next(t); path != fmt.Sprint("/", i) {
			t.Errorf("the next request is %s, want /%d", path, i)
			break
		}
	}
	close(stop)
	close(g.leave)
	intruders.Wait()
	for _, w := range waiters {
		w.reply(t)
	}
}

// With a full queue a request is refused at once.
func TestQueueIsBounded(t *testing.T) {
	s, g, first := occupied(t, site(onePlace, "queue 2 1h"))
	waiters := []*waiting{first, s.wait("/1"), s.wait("/2")}
	s.waitQueued(2)
	shed(t, s.Get(s.URL("PORT", "/")))
	if n := s.poolMetric("shed_total", "reason", "queue_full"); n != 1 {
		t.Errorf("the metric of refused requests is %v, want 1", n)
	}
	for range waiters {
		g.letGo(t)
	}
	for _, w := range waiters {
		if r := w.reply(t); r.Status != http.StatusOK {
			t.Errorf("status %d", r.Status)
		}
	}
}

func TestQueueTimesOut(t *testing.T) {
	s, g, first := occupied(t, site(onePlace, "queue 2 200ms"))
	shed(t, s.Get(s.URL("PORT", "/")))
	if n := s.poolMetric("shed_total", "reason", "queue_timeout"); n != 1 {
		t.Errorf("the metric of refused requests is %v, want 1", n)
	}
	s.waitQueued(0)
	g.letGo(t)
	first.reply(t)
}

// A client that leaves gives its place in the line to those behind it.
func TestQueueForgetsClientsThatLeave(t *testing.T) {
	s, g, first := occupied(t, site(onePlace, "queue 2 1h"))
	gone := s.wait("/gone")
	s.waitQueued(1)
	second := s.wait("/second")
	s.waitQueued(2)
	gone.leave()
	s.waitQueued(1)
	third := s.wait("/third") // there is room again
	s.waitQueued(2)
	for _, want := range []string{"/second", "/third"} {
		g.letGo(t)
		if path := g.next(t); path != want {
			t.Errorf("the next request is %s, want %s", path, want)
		}
	}
	g.letGo(t)
	for _, w := range []*waiting{first, second, third} {
		if r := w.reply(t); r.Status != http.StatusOK {
			t.Errorf("status %d", r.Status)
		}
	}
}

// Without a queue a request is refused, and counted once however often it looked.
func TestFullWithoutQueue(t *testing.T) {
	for _, handler := range []string{"", "lb_try_duration 300ms\n\t\tlb_try_interval 20ms"} {
		s, g, first := occupied(t, siteWith(handler, onePlace))
		shed(t, s.Get(s.URL("PORT", "/")))
		if n := s.poolMetric("shed_total", "reason", "full"); n != 1 {
			t.Errorf("%q: the metric of refused requests is %v, want 1", handler, n)
		}
		g.letGo(t)
		first.reply(t)
	}
}

// lb_try_duration waits for a place where there is no queue, and is no reason to wait on where the queue refuses.
func TestQueueBesideTryDuration(t *testing.T) {
	const patient = "lb_try_duration 1h\n\t\tlb_try_interval 20ms"
	t.Run("without queue", func(t *testing.T) {
		s, g, first := occupied(t, siteWith(patient+"\n\t\tverbose_logs", onePlace))
		second := s.wait("/second")
		s.WaitLog(t, "that it waits", func(l LogLine) bool { return l.Text("msg") == "retrying" })
		g.letGo(t)
		if path := g.next(t); path != "/second" {
			t.Errorf("the next request is %s", path)
		}
		g.letGo(t)
		first.reply(t)
		if r := second.reply(t); r.Status != http.StatusOK {
			t.Errorf("status %d", r.Status)
		}
		if n := s.poolMetric("shed_total", "reason", "full"); n != 0 {
			t.Errorf("%v requests are counted as refused, and none was", n)
		}
	})
	t.Run("with a full queue", func(t *testing.T) {
		s, g, first := occupied(t, siteWith(patient, onePlace, "queue 1 1h"))
		second := s.wait("/second")
		s.waitQueued(1)
		shed(t, s.Get(s.URL("PORT", "/")))
		g.letGo(t)
		first.reply(t)
		g.next(t)
		g.letGo(t)
		second.reply(t)
	})
	t.Run("after the queue's timeout", func(t *testing.T) {
		s, g, first := occupied(t, siteWith(patient, onePlace, "queue 1 200ms"))
		shed(t, s.Get(s.URL("PORT", "/")))
		g.letGo(t)
		first.reply(t)
	})
}

// A waiting request is given whatever backend has a place first.
func TestQueueTakesTheFirstPlace(t *testing.T) {
	b := NewBackends(t, "A", "B")
	gates := []*gate{newGate(), newGate()}
	for i, g := range gates {
		b[i].Do(g.ServeHTTP)
	}
	s := Start(t, site("backend {$A} max_requests 1\n\t\tbackend {$B} max_requests 1", "lb_policy consistent", "queue 5 1h"), addresses(b...))
	held := []*waiting{s.wait("/a"), s.wait("/b")}
	gates[0].next(t)
	gates[1].next(t)
	w := s.wait("/a")
	s.waitQueued(1)
	gates[1].letGo(t)
	gates[1].next(t)
	gates[1].letGo(t)
	if r := w.reply(t); r.Backend() != "B" {
		t.Errorf("it was given to %s, want B, which had a place", r.Backend())
	}
	gates[0].letGo(t)
	for _, h := range held {
		h.reply(t)
	}
}

// A backend that recovers is a place, too, and so is one that an operator puts back.
func TestQueueSeesBackendsComeBack(t *testing.T) {
	for name, back := range map[string]func(s *Server, b *Backend){
		"recovered": func(_ *Server, b *Backend) { b.SetHealth(http.StatusOK) },
		"undrained": func(s *Server, b *Backend) { s.patch("p", b.Addr, `{"drain":false}`) },
	} {
		t.Run(name, func(t *testing.T) {
			b := NewBackends(t, "A", "B")
			g := newGate()
			b[0].Do(g.ServeHTTP)
			s := Start(t, site("backend {$A} max_requests 1\n\t\tbackend {$B} max_requests 1", quickCheck, "queue 5 1h"), addresses(b...))
			if name == "recovered" {
				s.setHealthy(b, 1)
			} else {
				s.patch("p", b[1].Addr, `{"drain":true}`)
			}
			first := s.wait("/first")
			g.next(t)
			w := s.wait("/second")
			s.waitQueued(1)
			back(s, b[1])
			if r := w.reply(t); r.Backend() != "B" {
				t.Errorf("status %d from %q, want B", r.Status, r.Backend())
			}
			g.letGo(t)
			first.reply(t)
		})
	}
}
