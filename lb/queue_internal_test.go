package lb

import (
	"testing"
	"time"
)

// Backends tell a queue of their places as long as any pool before which it stands has them, and no longer.
func TestBackendsForgetQueuesOfClosedPools(t *testing.T) {
	backends := []*Backend{NewBackend(Address{Host: "a"}, time.Time{}), NewBackend(Address{Host: "b"}, time.Time{})}
	var q Queue
	newPool := func(backends ...*Backend) *Pool {
		p := NewPoolWith("p", anyPolicy{}, Options{Queue: &q})
		set(t, p, backends...)
		return p
	}
	expect := func(what string, told ...bool) {
		t.Helper()
		for i, b := range backends {
			if got := b.queues.all.Load() != nil; got != told[i] || got != (len(b.queues.refs) > 0) {
				t.Errorf("%s: backend %d tells the queue: %v, want %v", what, i, got, told[i])
			}
		}
	}
	one := newPool(backends...)
	expect("a pool of both", true, true)
	if err := one.Refresh(); err != nil {
		t.Fatal(err)
	}
	two := newPool(backends[0])
	set(t, one, backends[1])
	expect("one of each", true, true)
	set(t, two, backends[1])
	expect("both of the second", false, true)
	one.Close()
	one.Close()
	expect("one is closed", false, true)
	if err := one.Refresh(); err != nil {
		t.Fatal(err)
	}
	two.Close()
	expect("both are closed", false, false)
}

// The first is told when it comes, and whoever leaves first passes the word on: of two places that become free at once it
// hears once only.
func TestQueuePassesTheWordOn(t *testing.T) {
	told := func(w *Waiter) bool {
		select {
		case <-w.Turn():
			return true
		default:
			return false
		}
	}
	var q Queue
	one, two, three := q.Join(3), q.Join(3), q.Join(3)
	if !told(one) || told(two) {
		t.Error("the first has to look at once, a place may have become free; the second has not")
	}
	q.Wake()
	q.Wake()
	if !told(one) || told(one) || told(two) {
		t.Error("the first is told once, the second not at all")
	}
	one.Leave()
	if !told(two) || told(three) {
		t.Error("the word was not passed on to the second alone")
	}
	three.Leave()
	if told(two) {
		t.Error("the end of the line passed on what it did not have")
	}
	two.Leave()
	q.Wake()
	if q.Len() != 0 {
		t.Errorf("%d are left", q.Len())
	}
}

func set(t *testing.T, p *Pool, backends ...*Backend) {
	t.Helper()
	members := make([]*Member, len(backends))
	for i, b := range backends {
		members[i] = &Member{Backend: b, Weight: 1}
	}
	if err := p.Update(members); err != nil {
		t.Fatal(err)
	}
}

// anyPolicy picks the first that may be.
type anyPolicy struct{}

func (anyPolicy) NewPicker(t *Tier, _ Picker) (Picker, error) { return anyPicker{t}, nil }

type anyPicker struct{ tier *Tier }

func (p anyPicker) Pick(pick *Pick) *Member {
	for _, m := range p.tier.Selectable {
		if pick.Accepts(m) {
			return m
		}
	}
	return nil
}
