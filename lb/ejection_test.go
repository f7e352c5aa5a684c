package lb_test

import (
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/caddylb/caddy-lb/lb"
)

// fakeEjection says what a test has it say. A zero since and trial is a backend that is in.
type fakeEjection struct {
	since time.Duration // out since then
	trial bool
	taken atomic.Bool
}

func (f *fakeEjection) Ejected() (time.Duration, bool) { return f.since, f.since > 0 }
func (f *fakeEjection) Take() bool                     { return f.taken.CompareAndSwap(false, true) }
func (f *fakeEjection) Return()                        { f.taken.Store(false) }
func (f *fakeEjection) Taken() bool                    { return f.taken.Load() }

func (f *fakeEjection) Trial() lb.Trial {
	if f.trial {
		return f
	}
	return nil
}

// subject is a member and what the test knows of it.
type subject struct {
	member   *lb.Member
	down     *switchCondition
	ejection *fakeEjection
}

// couldServe reports whether nothing but an ejection keeps the subject out.
func (s *subject) couldServe() bool {
	return s.member.Weight > 0 && !s.member.Drained() && s.down.Healthy()
}

func drawSubject(t *rapid.T, n int) *subject {
	s := &subject{down: new(switchCondition), ejection: new(fakeEjection)}
	s.member = &lb.Member{
		Backend: backend(n), Weight: rapid.IntRange(0, 3).Draw(t, "weight"), Priority: rapid.IntRange(0, 2).Draw(t, "priority"),
		Backup: rapid.IntRange(0, 9).Draw(t, "backup") == 0, Ejection: s.ejection, Conditions: []lb.Condition{s.down},
	}
	s.redraw(t)
	return s
}

// redraw has something else happen to the subject.
func (s *subject) redraw(t *rapid.T) {
	s.down.down.Store(rapid.IntRange(0, 4).Draw(t, "down") == 0)
	s.member.SetDrained(rapid.IntRange(0, 4).Draw(t, "drained") == 0, time.Unix(1, 0))
	s.ejection.since, s.ejection.trial = 0, false
	switch rapid.IntRange(0, 3).Draw(t, "standing") {
	case 0:
		s.ejection.since = time.Duration(rapid.IntRange(1, 20).Draw(t, "since")) * time.Second
	case 1:
		s.ejection.trial = true
	}
}

// onTrial reports whether the member serves one request at a time in its pool. Nothing else limits members here.
func onTrial(m *lb.Member) bool { return m.Limited() }

// checkEjections compares what a pool made of its members' ejections with what it should.
func checkEjections(t *rapid.T, p *lb.Pool, subjects []*subject) {
	o := p.Options()
	limit := lb.EjectionLimit(len(subjects), o.MaxEjectionPercent, o.AlwaysEjectOne)
	snapshot := p.Snapshot()
	held, free := 0, 0
	youngest, oldest := time.Duration(0), time.Duration(math.MaxInt64)
	couldServe, selectable := 0, 0
	for _, m := range snapshot.Members {
		i := slices.IndexFunc(subjects, func(s *subject) bool { return s.member.Backend == m.Backend })
		s := subjects[i]
		if s.couldServe() {
			couldServe++
		}
		switch {
		case m.EjectedNow() && s.ejection.since == 0:
			t.Fatalf("%s is kept out, and is not ejected", m.Address())
		case onTrial(m) && !s.ejection.trial:
			t.Fatalf("%s has one request at a time, and is not on trial", m.Address())
		case m.EjectedNow() || onTrial(m):
			held++
		case s.couldServe():
			free++
		}
		if s.couldServe() && s.ejection.since > 0 {
			if m.EjectedNow() {
				youngest = max(youngest, s.ejection.since)
			} else {
				oldest = min(oldest, s.ejection.since)
			}
		}
		if m.Selectable() {
			selectable++
		}
	}
	if held > limit {
		t.Fatalf("%d of %d members are ejected or on trial, the limit is %d", held, len(subjects), limit)
	}
	if youngest > oldest {
		t.Fatalf("an ejection of %v is honoured, and one of %v is not", youngest, oldest)
	}
	if couldServe > 0 && (selectable == 0 || free == 0) {
		t.Fatalf("%d could serve: %d are selectable and %d of these not on trial", couldServe, selectable, free)
	}
}

func TestEjectionsKeepToTheLimit(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := lb.NewPoolWith("p", &firstPolicy{}, lb.Options{
			MaxEjectionPercent: rapid.SampledFrom([]float64{0, 10, 30, 50, 100}).Draw(t, "percent"),
			AlwaysEjectOne:     rapid.Bool().Draw(t, "one"),
			Overprovisioning:   rapid.SampledFrom([]float64{0, 1.4}).Draw(t, "overprovisioning"),
		})
		subjects := make([]*subject, rapid.IntRange(1, 12).Draw(t, "members"))
		for i := range subjects {
			subjects[i] = drawSubject(t, i)
		}
		for range rapid.IntRange(1, 6).Draw(t, "steps") {
			if rapid.Bool().Draw(t, "shrink") && len(subjects) > 1 {
				subjects = subjects[:len(subjects)-rapid.IntRange(0, len(subjects)-1).Draw(t, "leave")]
			}
			members := make([]*lb.Member, len(subjects))
			for i, s := range subjects {
				members[i] = s.member
			}
			if err := p.Update(members); err != nil {
				t.Fatal(err)
			}
			checkEjections(t, p, subjects)
			for _, s := range subjects {
				s.redraw(t)
			}
			if err := p.Refresh(); err != nil {
				t.Fatal(err)
			}
			checkEjections(t, p, subjects)
		}
	})
}

func TestEjectionLimit(t *testing.T) {
	for _, c := range []struct {
		n       int
		percent float64
		one     bool
		want    int
	}{
		{10, 10, false, 1},
		{9, 10, false, 0},
		{9, 10, true, 1},
		{1, 100, true, 0},
		{2, 100, false, 1},
		{10, 100, false, 9},
		{100, 29, false, 29}, // 0.29 × 100 is 28.999… in floating point
		{10, 0, false, 0},
		{0, 50, true, 0},
		{3, 500, false, 2},
	} {
		if got := lb.EjectionLimit(c.n, c.percent, c.one); got != c.want {
			t.Errorf("%d members, %v %%, at least one %v: limit %d, want %d", c.n, c.percent, c.one, got, c.want)
		}
	}
}

// ejectable is a pool of n members with weight 1 in which all but one may be ejected at once.
func ejectable(t *testing.T, n int, o lb.Options) (*lb.Pool, []*subject) {
	t.Helper()
	o.MaxEjectionPercent = 100
	p := lb.NewPoolWith("p", &firstPolicy{}, o)
	subjects := make([]*subject, n)
	members := make([]*lb.Member, n)
	for i := range subjects {
		s := &subject{down: new(switchCondition), ejection: new(fakeEjection)}
		s.member = &lb.Member{Backend: backend(i + 1), Weight: 1, Ejection: s.ejection, Conditions: []lb.Condition{s.down}}
		subjects[i], members[i] = s, s.member
	}
	if err := p.Update(members); err != nil {
		t.Fatal(err)
	}
	return p, subjects
}

func refresh(t *testing.T, p *lb.Pool) *lb.Snapshot {
	t.Helper()
	if err := p.Refresh(); err != nil {
		t.Fatal(err)
	}
	return p.Snapshot()
}

func TestTrialIsOneRequestAtATime(t *testing.T) {
	p, subjects := ejectable(t, 2, lb.Options{})
	subjects[0].ejection.trial = true
	m := refresh(t, p).Members[0]
	var wg sync.WaitGroup
	var under, most, served atomic.Int64
	for range 8 {
		wg.Go(func() {
			for range 1000 {
				if !m.Acquire() {
					continue
				}
				served.Add(1)
				if n := under.Add(1); n > most.Load() {
					most.Store(n)
				}
				under.Add(-1)
				m.Release()
			}
		})
	}
	wg.Wait()
	if most.Load() != 1 || served.Load() < 2 || m.Active() != 0 {
		t.Errorf("%d served, %d at once at most, %d left; want several, 1 and 0", served.Load(), most.Load(), m.Active())
	}

	// A request that finds no place gives the trial back.
	m.MaxRequests = 1
	m.Backend = subjects[1].member.Backend
	subjects[1].member.Acquire()
	if m.Acquire() || subjects[0].ejection.taken.Load() {
		t.Error("a place was taken that is not there, or the trial was kept without one")
	}
}

// One request at a time would be an outage where nobody else serves, even when that is because others are ejected.
func TestTrialsAreLiftedWhenNobodyElseServes(t *testing.T) {
	p, subjects := ejectable(t, 3, lb.Options{})
	subjects[0].ejection.trial = true
	if !onTrial(refresh(t, p).Members[0]) {
		t.Fatal("not on trial beside two that serve")
	}
	subjects[1].down.down.Store(true)
	subjects[2].ejection.since = time.Second
	if s := refresh(t, p); s.Members[2].EjectedNow() {
		t.Error("the last one besides that on trial is kept out")
	}
	subjects[2].down.down.Store(true)
	if onTrial(refresh(t, p).Members[0]) {
		t.Error("the only one that serves is on trial")
	}
}

func TestPanicUsesAllInRotation(t *testing.T) {
	p, s := ejectable(t, 7, lb.Options{PanicThreshold: 0.5, Overprovisioning: 1})
	s[0].ejection.since = time.Second
	s[1].ejection.trial = true
	s[2].down.down.Store(true)
	s[3].down.down.Store(true)
	s[4].member.SetDrained(true, time.Unix(1, 0))
	s[5].member.SetWeight(1, 0)
	tier := refresh(t, p).Tiers[0] // available is 7
	if got := hosts(tier.Selectable); !tier.Panic || got != "1 2 3 4 7" {
		t.Errorf("panic %v, selectable %s; want all in rotation: 1 2 3 4 7", tier.Panic, got)
	}
	for _, m := range tier.Members {
		if onTrial(m) {
			t.Errorf("%s is on trial in panic", m.Address())
		}
	}
	if !tier.Members[0].EjectedNow() {
		t.Error("what the panic disregards cannot be seen any more")
	}
	s[1].ejection.trial = false
	s[2].down.down.Store(false)
	s[3].down.down.Store(false)
	tier = refresh(t, p).Tiers[0]
	if got := hosts(tier.Selectable); tier.Panic || got != "2 3 4 7" || !tier.Members[0].EjectedNow() {
		t.Errorf("panic %v, selectable %s; want 2 3 4 7: enough are back, and 1 is ejected", tier.Panic, got)
	}
}

// A client that belongs to a drained backend is not kept on one that fails, unless another ejection needs the place.
func TestDrainedMembersAreEjectedLast(t *testing.T) {
	p, s := ejectable(t, 2, lb.Options{})
	s[0].member.SetDrained(true, time.Unix(1, 0))
	s[0].ejection.since = time.Second
	if tier := refresh(t, p).Tiers[0]; tier.IsServing(0) {
		t.Error("a drained backend that is ejected serves")
	}
	third := &lb.Member{Backend: backend(3), Weight: 1}
	p = lb.NewPoolWith("p", &firstPolicy{}, lb.Options{AlwaysEjectOne: true})
	update(t, p, s[0].member, s[1].member, third)
	s[1].ejection.since = time.Minute
	if m := refresh(t, p).Members; m[0].EjectedNow() || !m[1].EjectedNow() {
		t.Errorf("ejected: the drained one %v, the other %v; want the other, there is one place", m[0].EjectedNow(), m[1].EjectedNow())
	}
}
