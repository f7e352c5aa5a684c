package lb_test

import (
	"fmt"
	"math"
	"testing"

	"github.com/caddylb/caddy-lb/lb"
)

// tiered is a snapshot of a pool of tiers with 20 members each, of which so many are up. Member 1 is the first of tier 0, 101 that of tier 1.
func tiered(t testing.TB, up ...int) *lb.Snapshot {
	t.Helper()
	p := lb.NewPoolWith("p", &firstPolicy{}, lb.Options{Overprovisioning: 1.4})
	var members []*lb.Member
	for tier, n := range up {
		for i := range 20 {
			m := &lb.Member{Backend: backend(tier*100 + i + 1), Weight: 1, Priority: tier, MaxRequests: 1}
			if i >= n {
				down := new(switchCondition)
				down.down.Store(true)
				m.Conditions = []lb.Condition{down}
			}
			members = append(members, m)
		}
	}
	if err := p.Update(members); err != nil {
		t.Fatal(err)
	}
	return p.Snapshot()
}

// shares picks often and says which part went to which tier.
func shares(s *lb.Snapshot, key func(i int) string) []float64 {
	const picks = 100_000
	out := make([]float64, len(s.Tiers))
	for i := range picks {
		out[s.Pick(&lb.Pick{Key: key(i)}).Priority] += 1.0 / picks
	}
	return out
}

func none(int) string { return "" }

func number(i int) string { return fmt.Sprint("/item/", i) }

// What is picked follows the tiers' loads: 20 × 1.4 members count for a whole tier.
func TestPicksFollowTheLoads(t *testing.T) {
	for _, c := range []struct {
		up   []int
		want []float64
	}{
		{[]int{20, 20}, []float64{1, 0}},
		{[]int{15, 20}, []float64{1, 0}},
		{[]int{10, 12}, []float64{0.7, 0.3}},
		{[]int{5, 20}, []float64{0.35, 0.65}},
		{[]int{5, 5}, []float64{0.5, 0.5}},
		{[]int{5, 5, 4}, []float64{0.3571, 0.3571, 0.2857}},
		{[]int{0, 20}, []float64{0, 1}},
	} {
		s := tiered(t, c.up...)
		for name, key := range map[string]func(int) string{"at random": none, "by key": number} {
			got := shares(s, key)
			for i := range got {
				if math.Abs(got[i]-c.want[i]) > 0.01 || math.Abs(s.Tiers[i].Load-c.want[i]) > 0.001 {
					t.Errorf("%v of 20 up, %s: %.3f of the picks in tier %d, its load is %.3f, want %.3f", c.up, name, got[i], i, s.Tiers[i].Load, c.want[i])
				}
			}
		}
	}
}

// A key stays with its tier, and when loads change only as many keys move as have to.
func TestKeysStayWithTheirTier(t *testing.T) {
	before := tiered(t, 10, 20)
	after := tiered(t, 9, 20)
	const keys = 20_000
	moved := 0
	for i := range keys {
		pick := &lb.Pick{Key: number(i)}
		first := before.Pick(pick).Priority
		if again := before.Pick(pick).Priority; again != first {
			t.Fatalf("%s went to tier %d, then to %d", pick.Key, first, again)
		}
		switch now := after.Pick(pick).Priority; {
		case now < first:
			t.Fatalf("%s moved to tier 0, of which less is up", pick.Key)
		case now > first:
			moved++
		}
	}
	if part := float64(moved) / keys; math.Abs(part-0.07) > 0.01 {
		t.Errorf("%.3f of the keys moved, want 0.07: the load of tier 0 went from 0.70 to 0.63", part)
	}
}

// A request whose tier has nobody free goes to another, whichever it was drawn for.
func TestPicksFallThroughToOtherTiers(t *testing.T) {
	s := tiered(t, 5, 5)
	for _, m := range s.Tiers[1].Selectable {
		m.Acquire()
	}
	for i := range 1000 {
		if m := s.Pick(&lb.Pick{Key: number(i)}); m == nil || m.Priority != 0 {
			t.Fatalf("picked %v, want a member of tier 0: the other is full", m)
		}
	}
	tried := new(lb.Pick)
	for _, m := range s.Tiers[0].Selectable {
		tried.Tried.Add(m.Backend)
	}
	if m := s.Pick(tried); m != nil {
		t.Errorf("picked %s though one tier is full and the other was tried", m.Address())
	}
	for _, m := range s.Tiers[1].Selectable {
		m.Release()
	}
	for range 100 {
		if m := s.Pick(tried); m == nil || m.Priority != 1 {
			t.Fatalf("picked %v, want a member of tier 1: the other was tried", m)
		}
	}
}

// A backup serves when nobody else is up, and when nobody else is free.
func TestBackupsServeWhenNobodyElseCan(t *testing.T) {
	p := lb.NewPoolWith("p", &firstPolicy{}, lb.Options{Overprovisioning: 1.4})
	down := new(switchCondition)
	one := &lb.Member{Backend: backend(1), Weight: 1, Priority: 3, MaxRequests: 1, Conditions: []lb.Condition{down}}
	half := &lb.Member{Backend: backend(2), Weight: 1, Priority: 3, MaxRequests: 1, Conditions: []lb.Condition{down, down}}
	update(t, p, one, half, &lb.Member{Backend: backend(3), Weight: 1, Backup: true})
	expect := func(what string, want int) {
		t.Helper()
		for range 100 {
			if m := p.Snapshot().Pick(new(lb.Pick)); hosts([]*lb.Member{m}) != fmt.Sprint(want) {
				t.Fatalf("%s: picked %s, want %d", what, m.Address(), want)
			}
		}
	}
	expect("others are up", 1)
	two := p.Snapshot().Members[1]
	two.Acquire()
	p.Snapshot().Members[0].Acquire()
	expect("others are full", 3)
	two.Release()
	expect("one has a place", 2)
	down.down.Store(true)
	refresh(t, p)
	expect("others are down", 3)
}

// Where all that could serve in a tier are on trial, another one has its load; the trials take place all the same, or the tier
// would never be back. Those of tiers that are not needed wait until they are.
func TestTrialsOfATierThatOthersStandInFor(t *testing.T) {
	for _, backup := range []bool{true, false} {
		for _, overprovisioning := range []float64{0, 1.4} {
			p := lb.NewPoolWith("p", &firstPolicy{}, lb.Options{
				MaxEjectionPercent: 100, PanicThreshold: 0.5, Overprovisioning: overprovisioning,
			})
			primary, spare := new(fakeEjection), new(fakeEjection)
			second := &lb.Member{Backend: backend(2), Weight: 1, Ejection: spare, Priority: 1, Backup: backup}
			update(t, p, &lb.Member{Backend: backend(1), Weight: 1, Ejection: primary}, second, &lb.Member{Backend: backend(3), Weight: 1, Priority: 1, Backup: backup})

			primary.trial = true
			s := refresh(t, p)
			if len(s.Trials) != 1 || s.Tiers[0].Load != 0 || s.Tiers[1].Load != 1 {
				t.Errorf("backup %v: %d trials, loads %v and %v; want 1, 0 and 1", backup, len(s.Trials), s.Tiers[0].Load, s.Tiers[1].Load)
			}
			m := s.Pick(&lb.Pick{Key: "any"})
			if m.Backend != s.Members[0].Backend || !m.Acquire() {
				t.Fatalf("backup %v, overprovisioning %v: %s is asked, want the one on trial", backup, overprovisioning, m.Address())
			}
			if m := s.Pick(&lb.Pick{}); m.Backend != s.Members[1].Backend {
				t.Errorf("beside the trial's request %s is asked", m.Address())
			}
			m.Release()

			primary.trial, spare.trial = false, true
			s = refresh(t, p)
			if m := s.Pick(&lb.Pick{}); len(s.Trials) != 0 || m.Backend != s.Members[0].Backend {
				t.Errorf("%d trials, and %s is asked; want none of a tier that is not needed", len(s.Trials), m.Address())
			}
		}
	}
}

func TestPickAllocatesNothing(t *testing.T) {
	for name, up := range map[string][]int{"one tier": {20}, "two tiers": {10, 20}} {
		s := tiered(t, up...)
		pick := new(lb.Pick)
		keyed := &lb.Pick{Key: "/some/path"}
		if n := testing.AllocsPerRun(1000, func() { s.Pick(pick); s.Pick(keyed) }); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

func BenchmarkPick(b *testing.B) {
	for _, c := range []struct {
		name string
		up   []int
		key  string
	}{{"one tier", []int{20}, ""}, {"two tiers", []int{10, 20}, ""}, {"two tiers by key", []int{10, 20}, "/some/path"}} {
		b.Run(c.name, func(b *testing.B) {
			s := tiered(b, c.up...)
			pick := &lb.Pick{Key: c.key}
			b.ReportAllocs()
			for b.Loop() {
				s.Pick(pick)
			}
		})
	}
}

func BenchmarkAcquire(b *testing.B) {
	for _, c := range []struct {
		name   string
		member lb.Member
	}{{"unlimited", lb.Member{}}, {"max_requests", lb.Member{MaxRequests: 100}}} {
		b.Run(c.name, func(b *testing.B) {
			p := lb.NewPool("p", &firstPolicy{})
			m := c.member
			m.Backend, m.Weight = backend(1), 1
			if err := p.Update([]*lb.Member{&m}); err != nil {
				b.Fatal(err)
			}
			held := p.Snapshot().Members[0]
			b.ReportAllocs()
			for b.Loop() {
				if held.Acquire() {
					held.Release()
				}
			}
		})
	}
}
