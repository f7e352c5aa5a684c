package lb_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddylb/caddy-lb/lb"
)

// firstPolicy picks the first member that may be picked, and records what it was asked to compile.
type firstPolicy struct {
	err   error
	prevs []lb.Picker
	gens  []uint64
}

func (f *firstPolicy) NewPicker(tier *lb.Tier, prev lb.Picker) (lb.Picker, error) {
	if f.err != nil {
		return nil, f.err
	}
	f.prevs, f.gens = append(f.prevs, prev), append(f.gens, tier.Generation)
	return &firstPicker{tier}, nil
}

type firstPicker struct{ tier *lb.Tier }

func (f *firstPicker) Pick(p *lb.Pick) *lb.Member {
	for _, m := range f.tier.Selectable {
		if p.Accepts(m) {
			return m
		}
	}
	return nil
}

type switchCondition struct{ down atomic.Bool }

func (s *switchCondition) Healthy() bool { return !s.down.Load() }

func backend(n int) *lb.Backend {
	return lb.NewBackend(tcp(fmt.Sprintf("10.0.0.%d", n), "80"), time.Unix(0, 0))
}

func hosts(members []*lb.Member) string {
	var names []string
	for _, m := range members {
		names = append(names, strings.TrimPrefix(m.Address().Host, "10.0.0."))
	}
	return strings.Join(names, " ")
}

func TestPoolPublishesInCanonicalOrder(t *testing.T) {
	p := lb.NewPool("p", &firstPolicy{})
	if err := p.Update([]*lb.Member{
		{Backend: backend(3), Weight: 1},
		{Backend: backend(1), Weight: 1},
		{Backend: backend(2), Weight: 0},
	}); err != nil {
		t.Fatal(err)
	}
	s := p.Snapshot()
	if got := hosts(s.Members); got != "1 2 3" {
		t.Errorf("members %s, want 1 2 3", got)
	}
	if got := hosts(s.Tiers[0].Selectable); got != "1 3" {
		t.Errorf("selectable %s, want 1 3: weight 0 is drained", got)
	}
	if s.Tiers[0].IsSelectable(1) || !s.Tiers[0].IsServing(1) {
		t.Error("the member of weight 0 must be serving but not selectable")
	}
}

func TestPoolRefusesBadMembers(t *testing.T) {
	b := backend(1)
	for name, members := range map[string][]*lb.Member{
		"none":            {},
		"twice":           {{Backend: b, Weight: 1}, {Backend: b, Weight: 2}},
		"negative weight": {{Backend: b, Weight: -1}},
		"huge weight":     {{Backend: b, Weight: lb.MaxWeight + 1}},
	} {
		p := lb.NewPool("p", &firstPolicy{})
		if err := p.Update([]*lb.Member{{Backend: backend(9), Weight: 1}}); err != nil {
			t.Fatal(err)
		}
		if err := p.Update(members); err == nil {
			t.Errorf("%s: no error", name)
		}
		if got := hosts(p.Snapshot().Members); got != "9" {
			t.Errorf("%s: members are %s after an error, want them unchanged", name, got)
		}
	}
}

func TestPoolKeepsWhatItHasWhenThePolicyFails(t *testing.T) {
	policy := &firstPolicy{}
	p := lb.NewPool("p", policy)
	if err := p.Update([]*lb.Member{{Backend: backend(1), Weight: 1}}); err != nil {
		t.Fatal(err)
	}
	policy.err = errors.New("no")
	if err := p.Update([]*lb.Member{{Backend: backend(2), Weight: 1}}); !errors.Is(err, policy.err) {
		t.Errorf("error %v, want that of the policy", err)
	}
	policy.err = nil
	if err := p.Refresh(); err != nil {
		t.Fatal(err)
	}
	if got := hosts(p.Snapshot().Members); got != "1" {
		t.Errorf("members %s, want 1", got)
	}
}

func TestPoolRefreshFollowsHealthDrainAndWeight(t *testing.T) {
	policy := &firstPolicy{}
	p := lb.NewPool("p", policy)
	one, two := backend(1), backend(2)
	down := new(switchCondition)
	if err := p.Update([]*lb.Member{
		{Backend: one, Weight: 1, Conditions: []lb.Condition{down}},
		{Backend: two, Weight: 3},
	}); err != nil {
		t.Fatal(err)
	}
	expect := func(what, selectable string) {
		t.Helper()
		if err := p.Refresh(); err != nil {
			t.Fatal(err)
		}
		if got := hosts(p.Snapshot().Tiers[0].Selectable); got != selectable {
			t.Errorf("%s: selectable %q, want %q", what, got, selectable)
		}
	}
	down.down.Store(true)
	expect("one down", "2")
	two.SetDrained(true, time.Unix(7, 0))
	expect("and two drained", "")
	if m := p.Snapshot().Pick(new(lb.Pick)); m != nil {
		t.Errorf("picked %v of a pool with nothing selectable", m.Address())
	}
	two.SetDrained(false, time.Unix(9, 0))
	if since := two.DrainedSince(); !since.Equal(time.Unix(9, 0)) {
		t.Errorf("the drain last changed at %v, want the time it was taken back", since)
	}
	down.down.Store(false)
	expect("all back", "1 2")

	// None of that changed the members or weights, so a policy may keep what it derived from them.
	if first, last := policy.gens[0], policy.gens[len(policy.gens)-1]; first != last {
		t.Errorf("generation went from %d to %d by health alone", first, last)
	}
	one.SetWeight(1, 0)
	expect("weight overridden", "2")
	if first, last := policy.gens[0], policy.gens[len(policy.gens)-1]; first == last {
		t.Error("generation is the same after a change of weight")
	}
	if policy.prevs[1] == nil {
		t.Error("the policy was not given its previous picker")
	}
}

func TestWeightOverrideEndsWithTheConfiguredWeight(t *testing.T) {
	b := backend(1)
	b.SetWeight(3, 9)
	if got := b.Weight(3); got != 9 {
		t.Errorf("weight %d, want the override 9", got)
	}
	if got := b.Weight(4); got != 4 {
		t.Errorf("weight %d, want 4, which was configured since", got)
	}
	before := b.SetWeight(3, 7)
	if b.RestoreWeight(before); b.Weight(3) != 9 {
		t.Errorf("weight %d after it was restored, want 9", b.Weight(3))
	}
}

func TestTiersServeInOrder(t *testing.T) {
	p := lb.NewPool("p", &firstPolicy{})
	down := new(switchCondition)
	if err := p.Update([]*lb.Member{
		{Backend: backend(1), Weight: 1, Priority: 1},
		{Backend: backend(2), Weight: 1, Conditions: []lb.Condition{down}},
		{Backend: backend(3), Weight: 1, Priority: 2},
	}); err != nil {
		t.Fatal(err)
	}
	pick := new(lb.Pick)
	for _, want := range []string{"2", "1", "3"} {
		m := p.Snapshot().Pick(pick)
		if m == nil || hosts([]*lb.Member{m}) != want {
			t.Fatalf("picked %v, want %s: tiers in order, each backend once", m, want)
		}
		pick.Tried.Add(m.Backend)
	}
	if m := p.Snapshot().Pick(pick); m != nil {
		t.Errorf("picked %v though all were tried", m.Address())
	}
}

func TestAcquireNeverExceedsMaxRequests(t *testing.T) {
	p := lb.NewPool("p", &firstPolicy{})
	if err := p.Update([]*lb.Member{{Backend: backend(1), Weight: 1, MaxRequests: 3}}); err != nil {
		t.Fatal(err)
	}
	m := p.Snapshot().Members[0]
	var wg sync.WaitGroup
	var acquired, peak atomic.Int64
	for range 16 {
		wg.Go(func() {
			for range 1000 {
				if !m.Acquire() {
					continue
				}
				if n := acquired.Add(1); n > peak.Load() {
					peak.Store(n)
				}
				acquired.Add(-1)
				m.Release()
			}
		})
	}
	wg.Wait()
	if peak.Load() > 3 {
		t.Errorf("%d requests at once, want at most 3", peak.Load())
	}
	own, total := m.Load()
	if m.Active() != 0 || own != 0 || total != 0 {
		t.Errorf("active %d, own %d, total %d after all were released", m.Active(), own, total)
	}
}

// A pool's own counters go on when its members are replaced, or bounded loads would forget what is under way.
func TestLoadSurvivesUpdate(t *testing.T) {
	p := lb.NewPool("p", &firstPolicy{})
	one, two := backend(1), backend(2)
	if err := p.Update([]*lb.Member{{Backend: one, Weight: 1}}); err != nil {
		t.Fatal(err)
	}
	before := p.Snapshot().Members[0]
	before.Acquire()
	if err := p.Update([]*lb.Member{{Backend: one, Weight: 5}, {Backend: two, Weight: 1}}); err != nil {
		t.Fatal(err)
	}
	if own, total := p.Snapshot().Members[0].Load(); own != 1 || total != 1 {
		t.Errorf("own %d, total %d, want 1 and 1", own, total)
	}
	before.Release()
	if own, total := p.Snapshot().Members[0].Load(); own != 0 || total != 0 {
		t.Errorf("own %d, total %d after the release, want 0 and 0", own, total)
	}
}

func TestTriedHoldsAnyNumber(t *testing.T) {
	var tried lb.Tried
	var all []*lb.Backend
	for i := range 20 {
		all = append(all, backend(i))
		if tried.Has(all[i]) {
			t.Fatalf("backend %d is in the set before it was added", i)
		}
		tried.Add(all[i])
		for j, b := range all {
			if !tried.Has(b) {
				t.Fatalf("after %d additions backend %d is not in the set", i+1, j)
			}
		}
	}
	tried.Reset()
	for _, b := range all {
		if tried.Has(b) {
			t.Fatal("a set that was reset is not empty")
		}
	}
}
