package lb_test

import (
	"errors"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddylb/caddy-lb/lb"
)

// fakeClock is a clock that stands until a test moves it on.
type fakeClock struct{ now time.Duration }

func (c *fakeClock) read() time.Duration { return c.now }

// ramping is a pool with a slow start of 60 s, on a clock of the test's.
func ramping(c *fakeClock, aggression float64) *lb.Pool {
	return lb.NewPoolWith("p", &firstPolicy{}, lb.Options{SlowStart: time.Minute, Aggression: aggression, Now: c.read})
}

func update(t *testing.T, p *lb.Pool, members ...*lb.Member) {
	t.Helper()
	if err := p.Update(members); err != nil {
		t.Fatal(err)
	}
}

// warmth reads how far each member of the pool is, as it stands now.
func warmth(t *testing.T, p *lb.Pool) []float64 {
	t.Helper()
	var all []float64
	for _, m := range refresh(t, p).Members {
		all = append(all, math.Round(m.Warmth()*100)/100)
	}
	return all
}

func expectWarmth(t *testing.T, what string, p *lb.Pool, want ...float64) {
	t.Helper()
	got := warmth(t, p)
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("%s: warmth %v, want %v", what, got, want)
			return
		}
	}
}

// The course of a ramp by Envoy's formula, max(0.1, (max(t, 1 s) / window)^(1 / aggression)).
func TestRampFollowsTheFormula(t *testing.T) {
	for _, c := range []struct {
		aggression float64
		at         time.Duration
		want       float64
	}{
		{1, 0, 0.1},
		{1, time.Second, 0.1},
		{1, 6 * time.Second, 0.1},
		{1, 15 * time.Second, 0.25},
		{1, 30 * time.Second, 0.5},
		{1, 59 * time.Second, 0.98},
		{1, time.Minute, 1},
		{1, time.Hour, 1},
		{0, 15 * time.Second, 0.25}, // as 1
		{1.5, 0, 0.1},
		{1.5, 15 * time.Second, 0.40},
		{1.5, 30 * time.Second, 0.63},
		// The first second counts as one whole: (1/60)^(1/2).
		{2, 0, 0.13},
		{2, 500 * time.Millisecond, 0.13},
		{2, time.Second, 0.13},
		{2, 15 * time.Second, 0.5},
		{2, 30 * time.Second, 0.71},
		{0.5, 30 * time.Second, 0.25},
	} {
		clock := &fakeClock{now: time.Hour}
		p := ramping(clock, c.aggression)
		old := &lb.Member{Backend: backend(1), Weight: 3}
		update(t, p, old)
		update(t, p, old, &lb.Member{Backend: backend(2), Weight: 3})
		clock.now += c.at
		got := refresh(t, p).Members
		if w := got[1].Warmth(); math.Abs(w-c.want) > 0.006 {
			t.Errorf("aggression %v, after %v: %v, want %v", c.aggression, c.at, w, c.want)
		}
		if ratio := float64(got[1].Share()) / float64(got[0].Share()); math.Abs(ratio-c.want) > 0.006 {
			t.Errorf("aggression %v, after %v: a share of %v beside one that is warm, want %v", c.aggression, c.at, ratio, c.want)
		}
		p.Close()
	}
}

func TestWhenRampsBegin(t *testing.T) {
	clock := &fakeClock{now: time.Hour}
	p := ramping(clock, 1)
	defer p.Close()
	down := new(switchCondition)
	one := &lb.Member{Backend: backend(1), Weight: 1, Conditions: []lb.Condition{down}}
	two, three := &lb.Member{Backend: backend(2), Weight: 1}, &lb.Member{Backend: backend(3), Weight: 1}
	later := func() { clock.now += 2 * time.Minute }

	update(t, p, one, two)
	expectWarmth(t, "a pool that is new as a whole", p, 1, 1)
	later()
	update(t, p, one, two, three)
	expectWarmth(t, "a new one beside others", p, 1, 1, 0.1)
	clock.now += 30 * time.Second
	expectWarmth(t, "half a minute later", p, 1, 1, 0.5)
	later()

	down.down.Store(true)
	refresh(t, p)
	later()
	down.down.Store(false)
	expectWarmth(t, "one that has recovered", p, 0.1, 1, 1)
	later()
	two.SetDrained(true, time.Unix(1, 0))
	refresh(t, p)
	later()
	two.SetDrained(false, time.Unix(2, 0))
	expectWarmth(t, "one that was drained", p, 1, 0.1, 1)
	later()
	three.SetWeight(1, 7)
	expectWarmth(t, "another weight", p, 1, 1, 1)
	three.SetWeight(1, 0)
	refresh(t, p)
	later()
	three.SetWeight(1, 1)
	expectWarmth(t, "a weight again", p, 1, 1, 0.1)
	later()

	ejection := &fakeEjection{since: time.Second}
	one.Ejection = ejection
	p2 := lb.NewPoolWith("p", &firstPolicy{}, lb.Options{SlowStart: time.Minute, MaxEjectionPercent: 50, Now: clock.read})
	defer p2.Close()
	update(t, p2, one, two, three)
	expectWarmth(t, "another pool over the same", p2, 1, 1, 1)
	ejection.since = 0
	expectWarmth(t, "one that was ejected", p2, 0.1, 1, 1)
}

func TestRampsGoOnOverAReload(t *testing.T) {
	clock := &fakeClock{now: time.Hour}
	before := ramping(clock, 1)
	one, two, three := backend(1), backend(2), backend(3)
	member := func(b *lb.Backend) *lb.Member { return &lb.Member{Backend: b, Weight: 1} }
	update(t, before, member(one))
	update(t, before, member(one), member(two))
	clock.now += 30 * time.Second

	after := ramping(clock, 1)
	defer after.Close()
	update(t, after, member(one), member(two), member(three))
	expectWarmth(t, "after the reload", after, 1, 0.5, 0.1)
	before.Close()
	clock.now += 15 * time.Second
	expectWarmth(t, "later", after, 1, 0.75, 0.25)
}

// What fails changes nothing: a backend that could not come in has not come in.
func TestFailedUpdateBeginsNoRamp(t *testing.T) {
	clock := &fakeClock{now: time.Hour}
	policy := &firstPolicy{}
	p := lb.NewPoolWith("p", policy, lb.Options{SlowStart: time.Minute, Now: clock.read})
	defer p.Close()
	one, two := &lb.Member{Backend: backend(1), Weight: 1}, &lb.Member{Backend: backend(2), Weight: 1}
	update(t, p, one)
	policy.err = errors.New("no")
	if p.Update([]*lb.Member{one, two}) == nil {
		t.Fatal("no error")
	}
	policy.err = nil
	clock.now += 30 * time.Second
	update(t, p, one, two)
	expectWarmth(t, "at the second try", p, 1, 0.1)
}

// A pool publishes the steps of a ramp by itself, and does nothing when it is over.
func TestPoolPublishesRampsByItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		policy := &firstPolicy{}
		p := lb.NewPoolWith("p", policy, lb.Options{SlowStart: 30 * time.Second, Now: func() time.Duration { return time.Hour + time.Since(start) }})
		defer p.Close()
		old := &lb.Member{Backend: backend(1), Weight: 1}
		update(t, p, old)
		update(t, p, old, &lb.Member{Backend: backend(2), Weight: 1})
		for age := time.Duration(0); age < 30*time.Second; age += 3 * time.Second {
			want := max(0.1, age.Seconds()/30)
			if got := p.Snapshot().Members[1].Warmth(); math.Abs(got-want) > 0.02 {
				t.Errorf("after %v: warmth %v, want %v", age, got, want)
			}
			time.Sleep(3 * time.Second)
			synctest.Wait()
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if got := p.Snapshot().Members[1].Warmth(); got != 1 {
			t.Errorf("warmth %v at the end, want 1", got)
		}
		published := len(policy.gens)
		if published < 50 || published > 150 {
			t.Errorf("%d snapshots in the course of the ramp, want about a hundred", published)
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		if more := len(policy.gens) - published; more > 0 {
			t.Errorf("%d snapshots after the ramp, want none", more)
		}
	})
}

func TestCloseEndsRamps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		policy := &firstPolicy{}
		start := time.Now()
		p := lb.NewPoolWith("p", policy, lb.Options{SlowStart: time.Minute, Now: func() time.Duration { return time.Hour + time.Since(start) }})
		old := &lb.Member{Backend: backend(1), Weight: 1}
		update(t, p, old)
		update(t, p, old, &lb.Member{Backend: backend(2), Weight: 1})
		time.Sleep(10 * time.Second)
		synctest.Wait()
		p.Close()
		p.Close()
		published := len(policy.gens)
		time.Sleep(time.Hour)
		synctest.Wait()
		if more := len(policy.gens) - published; more > 0 {
			t.Errorf("%d snapshots after Close, want none", more)
		}
		refresh(t, p) // as by a check that has just seen something
		time.Sleep(time.Hour)
		synctest.Wait()
		if more := len(policy.gens) - published; more > 1 {
			t.Errorf("%d snapshots by itself after Close, want none", more-1)
		}
	})
}

// A trial is not the return: the ramp of a backend that passed it begins then.
func TestRampBeginsWithTheEndOfATrial(t *testing.T) {
	now := time.Hour
	p, subjects := ejectable(t, 2, lb.Options{SlowStart: 10 * time.Second, Now: func() time.Duration { return now }})
	subjects[0].ejection.since = time.Second
	refresh(t, p)
	subjects[0].ejection.since, subjects[0].ejection.trial = 0, true
	if m := refresh(t, p).Members[0]; m.Warmth() != 1 {
		t.Fatalf("on trial with %v of its weight, want all", m.Warmth())
	}
	now += time.Minute
	subjects[0].ejection.trial = false
	if m := refresh(t, p).Members[0]; m.Warmth() != 0.1 {
		t.Errorf("back with %v of its weight, want 0.1", m.Warmth())
	}
}
