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
