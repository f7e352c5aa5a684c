package lb_test

import (
	"container/heap"
	"math"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/caddylb/caddy-lb/lb"
)

// overloadSim is a backend that serves some requests at once and queues the rest, under requests that come at random times,
// in virtual time. Those above the limit are refused.
type overloadSim struct {
	limit    lb.AdaptiveLimit
	config   lb.Adaptive
	rand     *rand.Rand
	capacity int           // requests served at once
	service  time.Duration // on average
	steady   bool          // each request takes just that; else times are exponential
	rate     float64       // requests that come, in a second
	other    int           // requests of others that are under way all the time

	now     time.Duration
	active  int
	busy    int
	waiting []time.Duration // when they came
	done    completions
}

type completion struct{ came, at time.Duration }

type completions []completion

func (c completions) Len() int           { return len(c) }
func (c completions) Less(i, j int) bool { return c[i].at < c[j].at }
func (c completions) Swap(i, j int)      { c[i], c[j] = c[j], c[i] }
func (c *completions) Push(x any)        { *c = append(*c, x.(completion)) }
func (c *completions) Pop() any {
	last := (*c)[len(*c)-1]
	*c = (*c)[:len(*c)-1]
	return last
}

// seen is what a stretch of a simulation came to.
type seen struct {
	goodput           float64 // part of the capacity that was used
	latency           float64 // average, in service times
	limit             float64 // average
	lowest, highest   int     // limits
	refused, answered int
}

// run goes on for d.
func (s *overloadSim) run(d time.Duration) seen {
	end := s.now + d
	next := s.now + s.exponential(time.Duration(float64(time.Second)/s.rate))
	out := seen{lowest: math.MaxInt}
	var latencies time.Duration
	var limits float64
	arrivals := 0
	for {
		if len(s.done) > 0 && s.done[0].at <= min(next, end) {
			latencies += s.complete(heap.Pop(&s.done).(completion))
			out.answered++
			continue
		}
		if next > end {
			break
		}
		s.now = next
		next += s.exponential(time.Duration(float64(time.Second) / s.rate))
		limit := s.limit.Limit(&s.config)
		arrivals, limits = arrivals+1, limits+float64(limit)
		out.lowest, out.highest = min(out.lowest, limit), max(out.highest, limit)
		if s.active+s.other >= limit {
			out.refused++
			continue
		}
		s.active++
		s.waiting = append(s.waiting, s.now)
		s.serve()
	}
	s.now = end
	out.goodput = float64(out.answered) / (d.Seconds() * float64(s.capacity) / s.service.Seconds())
	out.latency = float64(latencies) / float64(max(out.answered, 1)) / float64(s.service)
	out.limit = limits / float64(max(arrivals, 1))
	return out
}

func (s *overloadSim) complete(c completion) (latency time.Duration) {
	s.now = c.at
	latency = c.at - c.came
	s.limit.Observe(&s.config, latency, s.now, s.active+s.other, false)
	s.busy--
	s.active--
	s.serve()
	return latency
}

// serve begins what can be.
func (s *overloadSim) serve() {
	for s.busy < s.capacity && len(s.waiting) > 0 {
		came := s.waiting[0]
		s.waiting = s.waiting[1:]
		s.busy++
		takes := s.service
		if !s.steady {
			takes = s.exponential(takes)
		}
		heap.Push(&s.done, completion{came, s.now + takes})
	}
}

func (s *overloadSim) exponential(mean time.Duration) time.Duration {
	return time.Duration(s.rand.ExpFloat64() * float64(mean))
}

func newOverloadSim(capacity int, service time.Duration, load float64, steady bool) *overloadSim {
	s := &overloadSim{rand: rand.New(rand.NewPCG(1, 2)), capacity: capacity, service: service, steady: steady}
	s.config.Now = func() time.Duration { return s.now }
	s.load(load)
	return s
}

// load has requests come at this multiple of what the backend can serve.
func (s *overloadSim) load(load float64) { s.rate = load * float64(s.capacity) / s.service.Seconds() }

// Under three times the load that a backend can serve its limit settles near what it serves at once: nearly all of its
// capacity is used, and requests do not queue for long inside. It stays so for as long as the overload lasts.
func TestAdaptiveLimitSettlesNearTheCapacity(t *testing.T) {
	for _, c := range []struct {
		capacity int
		service  time.Duration
		steady   bool
		latency  float64 // at most
	}{
		{5, 20 * time.Millisecond, true, 2.3},
		{10, 20 * time.Millisecond, true, 2},
		{50, 20 * time.Millisecond, true, 1.8},
		{100, 20 * time.Millisecond, true, 1.7},
		{50, 300 * time.Millisecond, true, 2},
		{5, 300 * time.Millisecond, true, 2.8}, // a look at it takes some seconds
		{10, 20 * time.Millisecond, false, 2.5},
		{50, 20 * time.Millisecond, false, 2.2},
	} {
		s := newOverloadSim(c.capacity, c.service, 3, c.steady)
		s.run(time.Minute)
		for minute := range 3 {
			got := s.run(time.Minute)
			if got.goodput < 0.95 || got.latency > c.latency {
				t.Errorf("%d at once for %v, minute %d: %.3f of the capacity used, latency %.2f × service time", c.capacity, c.service, minute, got.goodput, got.latency)
			}
			if k := float64(c.capacity); got.limit < k || got.limit > 2.8*k {
				t.Errorf("%d at once for %v, minute %d: the limit is %.1f on average", c.capacity, c.service, minute, got.limit)
			}
		}
	}
}

func TestAdaptiveLimitFollowsTheCapacity(t *testing.T) {
	s := newOverloadSim(40, 20*time.Millisecond, 3, true)
	s.run(time.Minute)
	for _, capacity := range []int{80, 20, 40} {
		s.capacity = capacity
		s.load(3)
		s.run(20 * time.Second)
		got := s.run(40 * time.Second)
		if got.goodput < 0.95 || got.latency > 2.1 {
			t.Errorf("after the capacity became %d: %.3f of it used, latency %.2f × service time", capacity, got.goodput, got.latency)
		}
	}
	// All requests take longer: that is not a queue, and the next look at the backend with little to do shows it.
	s.service *= 2
	s.load(3)
	s.run(time.Minute)
	if got := s.run(time.Minute); got.goodput < 0.95 || got.latency > 2.1 {
		t.Errorf("with requests of twice the time: %.3f of the capacity used, latency %.2f × service time", got.goodput, got.latency)
	}
}

func TestAdaptiveLimitRefusesNothingBelowTheCapacity(t *testing.T) {
	for _, load := range []float64{0.05, 0.5, 0.8} {
		s := newOverloadSim(50, 20*time.Millisecond, load, false)
		s.run(20 * time.Second)
		got := s.run(5 * time.Minute)
		if part := float64(got.refused) / float64(got.refused+got.answered); part > 0.00005 {
			t.Errorf("load %v: %d of %d requests are refused, the limit is %d to %d", load, got.refused, got.answered, got.lowest, got.highest)
		}
	}
}

// Others that keep the backend from having little to do are no reason to refuse requests for long, time and again.
func TestAdaptiveLimitGivesUpProbes(t *testing.T) {
	s := newOverloadSim(50, 20*time.Millisecond, 3, true)
	s.run(10 * time.Second)
	s.other = 30
	s.run(time.Minute)
	if got := s.run(5 * time.Minute); got.goodput < 0.998 {
		t.Errorf("%.4f of the capacity used, the limit is %d to %d", got.goodput, got.lowest, got.highest)
	}
}

// observe has requests of n windows end as they all took d, with as many under way.
func observe(l *lb.AdaptiveLimit, a *lb.Adaptive, clock *time.Duration, n int, d time.Duration, active int, dropped bool) {
	for range n * 10 {
		*clock += 12 * time.Millisecond
		l.Observe(a, d, *clock, active, dropped)
	}
}

func TestAdaptiveLimitShrinksWithTimeouts(t *testing.T) {
	clock := time.Hour
	a := &lb.Adaptive{Initial: 100, Now: func() time.Duration { return clock }}
	var l lb.AdaptiveLimit
	observe(&l, a, &clock, 20, time.Millisecond, 10, false) // it has been seen with little to do
	observe(&l, a, &clock, 5, 0, 100, true)
	got := l.Limit(a)
	if got > 66 || got < 50 {
		t.Errorf("limit %d after five windows of timeouts, want about 0.9^5 of 100", got)
	}
	// One in 25 is no overload, even if some time out in each window.
	before := got
	for i := range 1000 {
		clock += 2 * time.Millisecond
		l.Observe(a, time.Millisecond, clock, 100, i%25 == 0)
	}
	if got := l.Limit(a); got <= before {
		t.Errorf("limit %d after few timeouts, was %d: want more", got, before)
	}
}

// Requests that began before the backend had little to do say nothing about how fast it is then.
func TestAdaptiveLimitIgnoresLeftovers(t *testing.T) {
	clock := time.Hour
	a := &lb.Adaptive{Initial: 100, Now: func() time.Duration { return clock }}
	var l lb.AdaptiveLimit
	observe(&l, a, &clock, 20, 10*time.Millisecond, 10, false)
	observe(&l, a, &clock, 1, 10*time.Millisecond, 60, false)
	before := l.Limit(a)
	observe(&l, a, &clock, 1, 2*time.Second, 10, false)
	observe(&l, a, &clock, 2, 100*time.Millisecond, before*2/3, false)
	if got := l.Limit(a); got >= before {
		t.Errorf("limit %d with answers ten times slower than with little to do, was %d", got, before)
	}
}

func TestAdaptiveLimitStaysWithinItsBounds(t *testing.T) {
	clock := time.Hour
	a := &lb.Adaptive{Initial: 20, Min: 8, Max: 50, Now: func() time.Duration { return clock }}
	var l lb.AdaptiveLimit
	if got := l.Limit(&lb.Adaptive{Initial: 5, Min: 8}); got != 8 {
		t.Errorf("a limit of %d at first, want Min: 8", got)
	}
	expect := func(what string, want int) {
		t.Helper()
		if got := l.Limit(a); got != want {
			t.Errorf("%s: limit %d, want %d", what, got, want)
		}
	}
	expect("nothing known", 20)
	observe(&l, a, &clock, 10, time.Millisecond, 7, false)
	expect("few requests are under way", 20)
	observe(&l, a, &clock, 10, time.Second, 9, false)
	expect("few requests are under way, and slow", 20)
	observe(&l, a, &clock, 10, 0, 9, true)
	expect("few requests are under way, and none is answered", 20)
	observe(&l, a, &clock, 100, time.Millisecond, 50, false)
	if got := l.Limit(a); got != 50 && got != 12 { // a probe may be under way
		t.Errorf("fast and busy: limit %d, want Max: 50", got)
	}
	observe(&l, a, &clock, 400, time.Second, 50, false)
	expect("slow and busy", 8)
}

// Limits hold for requests that are under way at once, whoever looks.
func TestAdaptiveLimitInParallel(t *testing.T) {
	p := lb.NewPoolWith("p", &firstPolicy{}, lb.Options{Adaptive: &lb.Adaptive{Initial: 3, Max: 6, Window: time.Microsecond}})
	update(t, p, &lb.Member{Backend: backend(1), Weight: 1})
	m := p.Snapshot().Members[0]
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for n := range 3000 {
				if !m.Acquire() {
					continue
				}
				if active := m.Active(); active > 6 {
					t.Errorf("%d under way, the limit is never above 6", active)
				}
				m.AdaptiveLimit().Observe(p.Options().Adaptive, time.Duration(1+n%7), lb.Monotonic(), m.Active(), i == 0 && n%5 == 0)
				m.Release()
			}
		})
	}
	wg.Wait()
	if m.Active() != 0 {
		t.Errorf("%d under way at the end", m.Active())
	}
}
