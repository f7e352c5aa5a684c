package lb_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/caddylb/caddy-lb/lb"
)

// desk is requests that take places on a pool's members, or wait for them in its queue as the handler has them.
type desk struct {
	pool  *lb.Pool
	queue *lb.Queue
}

// take picks and acquires, as long as a pick finds somebody.
func (d desk) take() *lb.Member {
	for {
		m := d.pool.Snapshot().Pick(new(lb.Pick))
		if m == nil || m.Acquire() {
			return m
		}
	}
}

// lease takes a place now, unless others wait, or waits for one until stop is closed.
func (d desk) lease(stop <-chan struct{}) *lb.Member {
	if d.queue.Len() == 0 {
		if m := d.take(); m != nil {
			return m
		}
	}
	w := d.queue.Join(1 << 20)
	defer w.Leave()
	for {
		select {
		case <-w.Turn():
			if m := d.take(); m != nil {
				return m
			}
		case <-stop:
			return nil
		}
	}
}

// newDesk is a pool of n backends that serve one request each, and a queue before it.
func newDesk(t *testing.T, q *lb.Queue, backends ...*lb.Backend) desk {
	t.Helper()
	p := lb.NewPoolWith("p", &firstPolicy{}, lb.Options{Queue: q})
	members := make([]*lb.Member, len(backends))
	for i, b := range backends {
		members[i] = &lb.Member{Backend: b, Weight: 1, MaxRequests: 1}
	}
	update(t, p, members...)
	return desk{p, q}
}

func TestQueueIsBounded(t *testing.T) {
	var q lb.Queue
	one, two := q.Join(2), q.Join(2)
	if one == nil || two == nil || q.Join(2) != nil || q.Len() != 2 {
		t.Fatalf("%d wait, the limit is 2", q.Len())
	}
	one.Leave()
	if three := q.Join(2); three == nil {
		t.Error("no place in the line after one has left")
	}
	if q.Join(0) != nil {
		t.Error("a place in a line of none")
	}
}

// Those who wait are served in the order in which they came, except those who leave, whatever happens meanwhile, and
// nobody waits while there is a free place.
func TestQueueKeepsItsOrder(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		backends := rapid.IntRange(1, 3).Draw(rt, "backends")
		steps := rapid.SliceOfN(rapid.IntRange(0, 1000), 1, 60).Draw(rt, "steps")
		var wrong string
		synctest.Test(t, func(t *testing.T) { wrong = playQueue(t, backends, steps) })
		if wrong != "" {
			rt.Fatal(wrong)
		}
	})
}

// guest is a request of playQueue.
type guest struct {
	n    int
	stop chan struct{}
}

// playQueue has requests come, be done and go away, as steps say, and says what was wrong about it.
func playQueue(t *testing.T, n int, steps []int) string {
	backends := []*lb.Backend{backend(1), backend(2), backend(3)}[:n]
	var q lb.Queue
	d := newDesk(t, &q, backends...)
	defer d.pool.Close()
	var held []*lb.Member
	var served []int
	var waiting []guest
	var mu sync.Mutex
	defer func() {
		for _, g := range waiting {
			close(g.stop)
		}
	}()
	for i, step := range steps {
		what, which := step%4, step/4
		switch {
		case what <= 1: // one comes
			g := guest{i, make(chan struct{})}
			waiting = append(waiting, g)
			go func() {
				m := d.lease(g.stop)
				mu.Lock()
				defer mu.Unlock()
				if m != nil {
					held, served = append(held, m), append(served, g.n)
				}
			}()
		case what == 2 && len(held) > 0: // one is done
			k := which % len(held)
			m := held[k]
			held = slices.Delete(held, k, k+1)
			m.Release()
		case what == 3 && len(waiting) > 0: // one goes away
			k := which % len(waiting)
			close(waiting[k].stop)
			waiting = slices.Delete(waiting, k, k+1)
		}
		synctest.Wait()
		for _, n := range served {
			if len(waiting) == 0 || waiting[0].n != n {
				return fmt.Sprintf("served %v, waiting were %v", served, waiting)
			}
			waiting = waiting[1:]
		}
		served = nil
		if q.Len() != len(waiting) || len(waiting) > 0 && len(held) < n {
			return fmt.Sprintf("%d wait, %d in the line, and %d of %d places are taken", len(waiting), q.Len(), len(held), n)
		}
	}
	return ""
}

// With requests that come and go in parallel nobody is forgotten: if a wake-up were lost, the test would not end.
func TestQueueLosesNoWakeUp(t *testing.T) {
	var q lb.Queue
	backends := []*lb.Backend{backend(1), backend(2)}
	desks := []desk{newDesk(t, &q, backends...), newDesk(t, &q, backends...)} // as in the course of a reload
	var under, most, served, gone atomic.Int64
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(7, uint64(i)))
			for range 2000 {
				stop := make(chan struct{})
				if r.IntN(8) == 0 {
					close(stop)
				}
				m := desks[i%2].lease(stop)
				if m == nil {
					gone.Add(1)
					continue
				}
				if n := under.Add(1); n > most.Load() {
					most.Store(n)
				}
				served.Add(1)
				under.Add(-1)
				m.Release()
			}
		})
	}
	done := make(chan struct{})
	go func() { wg.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(time.Minute):
		t.Fatalf("%d wait forever; %d and %d places are taken", q.Len(), backends[0].Active(), backends[1].Active())
	}
	if most.Load() > 2 || q.Len() != 0 || served.Load()+gone.Load() != 16*2000 {
		t.Errorf("%d at once, %d left in the line, %d served and %d gone", most.Load(), q.Len(), served.Load(), gone.Load())
	}
}

// Requests that find no place are not counted, not even for a moment: who looks for one then would wait although there
// is one, and nobody would tell it.
func TestCountIsNeverTooHigh(t *testing.T) {
	var q lb.Queue
	d := newDesk(t, &q, backend(1))
	defer d.pool.Close()
	m := d.pool.Snapshot().Members[0]
	m.Acquire()
	var tries atomic.Int64
	go func() {
		for tries.Add(1) < 300_000 {
			m.Acquire()
		}
	}()
	for tries.Load() < 300_000 {
		if n := m.Active(); n > 1 {
			t.Fatalf("%d are counted, the limit is 1", n)
		}
	}
}

// wakes expects that a request which waits at d is served once wake has been called, and not before.
func wakes(t *testing.T, d desk, wake func()) {
	t.Helper()
	var m *lb.Member
	stop := make(chan struct{})
	defer close(stop)
	var served bool
	go func() {
		m = d.lease(stop)
		served = m != nil
	}()
	synctest.Wait()
	if served || d.queue.Len() != 1 {
		t.Fatal("the request does not wait")
	}
	wake()
	synctest.Wait()
	if !served {
		t.Fatal("the request still waits")
	}
	m.Release()
}

func TestQueueIsWoken(t *testing.T) {
	for name, test := range map[string]func(t *testing.T, d desk, m, other *lb.Member, down *switchCondition){
		"by a request that is done": func(t *testing.T, d desk, _, _ *lb.Member, _ *switchCondition) {
			m := d.take()
			wakes(t, d, m.Release)
		},
		"by a request of another pool": func(t *testing.T, d desk, m, _ *lb.Member, _ *switchCondition) {
			other := lb.NewPool("other", &firstPolicy{})
			update(t, other, &lb.Member{Backend: m.Backend, Weight: 1})
			theirs := other.Snapshot().Members[0]
			theirs.Acquire()
			wakes(t, d, theirs.Release)
		},
		"by health": func(t *testing.T, d desk, _, _ *lb.Member, down *switchCondition) {
			down.down.Store(true)
			refresh(t, d.pool)
			wakes(t, d, func() { down.down.Store(false); refresh(t, d.pool) })
		},
		"by the end of a drain": func(t *testing.T, d desk, m, _ *lb.Member, _ *switchCondition) {
			m.SetDrained(true, time.Now())
			refresh(t, d.pool)
			wakes(t, d, func() { m.SetDrained(false, time.Now()); refresh(t, d.pool) })
		},
		"by a weight": func(t *testing.T, d desk, m, _ *lb.Member, _ *switchCondition) {
			m.SetWeight(1, 0)
			refresh(t, d.pool)
			wakes(t, d, func() { m.SetWeight(1, 1); refresh(t, d.pool) })
		},
		"by another backend": func(t *testing.T, d desk, m, other *lb.Member, _ *switchCondition) {
			d.take()
			wakes(t, d, func() { update(t, d.pool, m, other) })
		},
		"after a reload": func(t *testing.T, d desk, m, _ *lb.Member, _ *switchCondition) {
			next := newDesk(t, d.queue, m.Backend)
			defer next.pool.Close()
			theirs := next.take()
			wakes(t, d, func() { d.pool.Close(); theirs.Release() })
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				down := new(switchCondition)
				m := &lb.Member{Backend: backend(1), Weight: 1, MaxRequests: 1, Conditions: []lb.Condition{down}}
				p := lb.NewPoolWith("p", &firstPolicy{}, lb.Options{Queue: new(lb.Queue)})
				defer p.Close()
				update(t, p, m)
				test(t, desk{p, p.Options().Queue}, m, &lb.Member{Backend: backend(2), Weight: 1, MaxRequests: 1}, down)
			})
		})
	}
}
