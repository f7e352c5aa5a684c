package outlier

import (
	"math"
	"math/rand/v2"
	"sync"
	"testing"
	"time"
)

func TestConsecutive(t *testing.T) {
	many := func(n int, k Kind) (kinds []Kind) {
		for range n {
			kinds = append(kinds, k)
		}
		return kinds
	}
	join := func(parts ...[]Kind) (kinds []Kind) {
		for _, p := range parts {
			kinds = append(kinds, p...)
		}
		return kinds
	}
	off := Config{Consecutive5xx: -1, ConsecutiveGateway: -1, ConsecutiveConnect: -1}
	for _, c := range []struct {
		name     string
		config   Config
		outcomes []Kind
		reason   string // empty: in
	}{
		{"five 5xx", Config{}, many(5, ServerError), "5 consecutive 5xx"},
		{"four 5xx", Config{}, many(4, ServerError), ""},
		{"five gateway failures", Config{}, many(5, GatewayError), "5 consecutive gateway failures"},
		{"three connect failures", Config{}, many(3, ConnectFailure), "3 consecutive connect failures"},
		{"a success in between", Config{}, join(many(4, ServerError), many(1, Success), many(4, ServerError)), ""},
		{"no result in between", Config{}, join(many(4, ServerError), many(9, Ignored), many(1, ServerError)), "5 consecutive 5xx"},
		{"connect failures are gateway failures", Config{}, join(many(2, ConnectFailure), many(3, GatewayError)), "5 consecutive gateway failures"},
		{"and both are 5xx", Config{}, join(many(2, ConnectFailure), many(2, GatewayError), many(1, ServerError)), "5 consecutive 5xx"},
		{"a 5xx ends gateway failures", Config{Consecutive5xx: -1}, join(many(4, GatewayError), many(1, ServerError), many(4, GatewayError)), ""},
		{"a gateway failure ends connect failures", Config{}, join(many(2, ConnectFailure), many(1, GatewayError), many(1, ConnectFailure)), ""},
		{"own numbers", Config{Consecutive5xx: 2}, many(2, ServerError), "2 consecutive 5xx"},
		{"all off", off, many(1000, ConnectFailure), ""},
		{"a number beyond counting", Config{Consecutive5xx: math.MaxInt}, many(1000, ServerError), ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.config.AlwaysEjectOne = true
			f := newFixture(t, 2, c.config)
			for _, k := range c.outcomes {
				f.observe(0, 1, k)
			}
			if c.reason == "" {
				f.phase(In, 0, 1)
				return
			}
			f.phase(Out, 0)
			f.phase(In, 1)
			if e := f.one(); e.Kind != Ejected || e.Reason != c.reason || e.Times != 1 {
				t.Errorf("event %+v, want an ejection for %q", e, c.reason)
			}
			if s := f.hosts[0].Status(); s.Reason != c.reason || s.Ejections != 1 || s.Until-s.Since != 30*time.Second {
				t.Errorf("status %+v", s)
			}
		})
	}
}

func TestStreaksStayAtTheirMaximum(t *testing.T) {
	var s streaks
	s.word.Store(counts{ServerError: streakMax, GatewayError: streakMax - 1, ConnectFailure: streakMax}.packed())
	limits := [...]int{ServerError: -1, GatewayError: -1, ConnectFailure: math.MaxInt}
	for range 3 {
		if k, ok := s.fail(ConnectFailure, &limits); ok {
			t.Errorf("%v reached a limit that is not there", k)
		}
	}
	if got, want := s.load(), (counts{ServerError: streakMax, GatewayError: streakMax, ConnectFailure: streakMax}); got != want {
		t.Errorf("counts %v, want %v", got, want)
	}
}

// Failures that come at once reach a limit exactly as often as failures one after the other.
func TestStreaksCountConcurrentFailures(t *testing.T) {
	var s streaks
	limits := [...]int{ServerError: 5, GatewayError: -1, ConnectFailure: -1}
	var mu sync.Mutex
	reached := 0
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 1000 {
				if _, ok := s.fail(ServerError, &limits); ok {
					mu.Lock()
					reached++
					mu.Unlock()
				}
			}
		})
	}
	wg.Wait()
	if reached != 8*1000/5 {
		t.Errorf("the limit was reached %d times, want %d", reached, 8*1000/5)
	}
}

func TestShare(t *testing.T) {
	for _, c := range []struct {
		hosts  int
		config Config
		out    int
	}{
		{10, Config{}, 1},
		{9, Config{}, 0},
		{9, oneOf, 1},
		{29, Config{}, 2},
		{30, Config{}, 3},
		{10, Config{MaxEjectionPercent: 50}, 5},
		{10, Config{MaxEjectionPercent: 100}, 9},
		{3, Config{MaxEjectionPercent: 100}, 2},
		{1, Config{MaxEjectionPercent: 100, AlwaysEjectOne: true}, 0},
		{10, Config{MaxEjectionPercent: -1}, 0},
		{10, Config{MaxEjectionPercent: -1, AlwaysEjectOne: true}, 1},
	} {
		f := newFixture(t, c.hosts, c.config)
		for i := range c.hosts {
			f.observe(i, 5, ServerError)
		}
		ejected, overflows := 0, 0
		for _, e := range f.take() {
			switch e.Kind {
			case Ejected:
				ejected++
			case Overflow:
				overflows++
			}
		}
		if ejected != c.out || overflows != c.hosts-c.out {
			t.Errorf("of %d hosts %d were ejected and %d overflowed, want %d to be out, with %+v", c.hosts, ejected, overflows, c.out, c.config)
		}
	}
}

// A host for which there was no room is asked for again after as many failures, and taken out when there is room.
func TestOverflowAsksAgain(t *testing.T) {
	f := newFixture(t, 10, Config{})
	f.observe(0, 5, ServerError)
	f.take()
	f.observe(1, 14, ServerError)
	if events := f.take(); len(events) != 2 || events[0].Kind != Overflow || events[1].Reason != "5 consecutive 5xx" {
		t.Errorf("events %+v, want two overflows", events)
	}
	for range 10 {
		h := NewHost(f.now)
		f.hosts = append(f.hosts, h)
		f.Add(h)
	}
	f.observe(1, 1, ServerError)
	f.phase(Out, 0, 1)
}

func TestRemovedAndClosedHosts(t *testing.T) {
	f := newFixture(t, 3, Config{MaxEjectionPercent: 100})
	f.Remove(f.hosts[0])
	f.observe(0, 20, ConnectFailure)
	f.phase(In, 0) // a late answer of a host that is not in the pool

	f.observe(1, 5, ServerError)
	f.phase(Out, 1)
	f.Remove(f.hosts[1])
	f.phase(Out, 1) // the state is the host's

	f.hosts[2].Close()
	f.hosts[2].Close()
	f.Add(f.hosts[0])
	f.observe(2, 20, ConnectFailure)
	f.phase(In, 2) // it would never come back
}

// A host that is taken over within the pool, and so added before it is removed, stays in the pool.
func TestHostStaysUntilRemovedAsOftenAsAdded(t *testing.T) {
	f := newFixture(t, 2, oneOf)
	f.Add(f.hosts[0])
	f.Remove(f.hosts[0])
	f.observe(0, 5, ServerError)
	f.phase(Out, 0)
	f.Remove(f.hosts[1])
	f.observe(1, 5, ServerError)
	f.phase(In, 1)
}

// Failures of all hosts at once never take out more than may be, from two detectors over the same hosts, as during a reload.
func TestShareUnderConcurrency(t *testing.T) {
	for round := range 50 {
		f := newFixture(t, 10, Config{MaxEjectionPercent: 35})
		other := New(f.config, nil)
		for _, h := range f.hosts {
			other.Add(h)
		}
		var wg sync.WaitGroup
		for g := range 8 {
			wg.Go(func() {
				random := rand.New(rand.NewPCG(uint64(round), uint64(g)))
				for range 200 {
					d := f.Detector
					if random.IntN(2) == 0 {
						d = other
					}
					f.observeIn(d, random.IntN(10), 1, GatewayError)
				}
			})
		}
		wg.Wait()
		if n := away(f.hosts); n != 3 {
			t.Fatalf("%d of 10 hosts are out, want 3", n)
		}
	}
}

// away is how many hosts are out or on trial at one time.
func away(hosts []*Host) (n int) {
	transitions.Lock()
	defer transitions.Unlock()
	for _, h := range hosts {
		if h.state.Load().phase != In {
			n++
		}
	}
	return n
}
