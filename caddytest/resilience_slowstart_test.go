package caddytest

import (
	"math"
	"net/http"
	"strings"
	"testing"
	"time"
)

// warmup has B take its share within three seconds, a third of it at once: the first second counts as a whole.
const warmup = "slow_start 3s"

// ramp is the part of its weight that a backend should have at an age, by Envoy's formula.
func ramp(age time.Duration) float64 {
	return math.Min(1, math.Max(0.1, math.Max(age.Seconds(), 1)/3))
}

// checkRamp sends requests until a backend's slow start is over, and compares its share with the formula. The start was after a time, and before
// the call: how long before, a busy machine decides, as it does how long all this takes to look at.
func (s *Server) checkRamp(b *Backend, others int, after time.Time) {
	s.t.Helper()
	began := time.Now()
	seen := map[int]int{} // of the phases of the ramp
	for {
		age := time.Since(began)
		l := s.level(b)
		if l.Warmth == 0 {
			break
		}
		if age > patience() {
			s.t.Fatalf("the slow start has no end: %+v", l)
		}
		if most := ramp(time.Since(after)); l.Warmth < ramp(age)-0.12 || l.Warmth > most+0.12 {
			s.t.Errorf("after %s it has %.2f of its weight, want %.2f to %.2f", age, l.Warmth, ramp(age), most)
		}
		phase := int(age / time.Second)
		seen[phase]++
		const n = 120
		got := s.share(n, b)
		// The weight grows while the requests are sent.
		least, most := ramp(age)-0.05, ramp(time.Since(after))+0.05
		if got < least/(least+float64(others))-0.03 || got > most/(most+float64(others))+0.03 {
			s.t.Errorf("after %s it got %.2f of the requests, want about %.2f", age, got, most/(most+float64(others)))
		}
		if metric := s.poolMetric("backend_warmth", "backend", b.Addr); metric+0.01 < l.Warmth {
			s.t.Errorf("the metric of its warmth is %v, and was %v in the admin API before", metric, l.Warmth)
		}
	}
	if seen[0] == 0 || seen[1] == 0 {
		s.t.Errorf("the ramp was not seen from its beginning: %v", seen)
	}
	if got, want := s.share(60, b), 1/float64(others+1); math.Abs(got-want) > 0.02 {
		s.t.Errorf("after its slow start it got %.2f of the requests, want %.2f", got, want)
	}
}

func TestRecoveredBackendStartsSlowly(t *testing.T) {
	b := NewBackends(t, "A", "B")
	s := Start(t, site("to {$A} {$B}", quickCheck, warmup), addresses(b...))
	if l := s.level(b[1]); l.Warmth != 0 {
		t.Errorf("a pool that is new as a whole starts slowly: %+v", l)
	}
	s.setHealthy(b, 1)
	before := time.Now()
	s.setHealthy(b, 2)
	s.checkRamp(b[1], 1, before)
}

func TestNewBackendStartsSlowly(t *testing.T) {
	b := NewBackends(t, "A", "B", "C")
	const two = "to {$A} {$C}"
	s := Start(t, site(two, warmup), addresses(b...))
	before := time.Now()
	s.mustReload(strings.Replace(site(two, warmup), two, "to {$A} {$B} {$C}", 1))
	for _, old := range []*Backend{b[0], b[2]} {
		if l := s.level(old); l.Warmth != 0 {
			t.Errorf("%s was there before and starts slowly: %+v", old.Name, l)
		}
	}
	s.checkRamp(b[1], 2, before)
}

// The ramp goes on over a reload, as if there was none.
func TestSlowStartGoesOnOverReloads(t *testing.T) {
	b := NewBackends(t, "A", "B")
	config := site("to {$A} {$B}", quickCheck, warmup)
	s := Start(t, config, addresses(b...))
	s.setHealthy(b, 1)
	b[1].SetHealth(http.StatusOK)
	s.waitState("p", b[1].Addr, "up")
	began := time.Now()
	s.waitLevel(b[1], "is in the middle of its slow start", func(l backendLevel) bool { return l.Warmth > 0.5 })
	for i := range 3 {
		before := s.level(b[1]).Warmth
		s.mustReload(config + "\n# edit " + string(rune('a'+i)) + "\n")
		if after := s.level(b[1]).Warmth; after != 0 && after < before {
			t.Errorf("the reload took the warmth from %v to %v", before, after)
		}
		if l := s.level(b[0]); l.Warmth != 0 {
			t.Errorf("the reload has A start slowly: %+v", l)
		}
	}
	s.waitLevel(b[1], "has its whole weight", func(l backendLevel) bool { return l.Warmth == 0 })
	if took := time.Since(began); took < 2500*time.Millisecond || took > 3*time.Second+patience()/4 {
		t.Errorf("the slow start took %s over reloads, want 3s", took)
	}
}

// A weight that changes is nothing new.
func TestWeightChangeStartsNothing(t *testing.T) {
	b := NewBackends(t, "A", "B")
	s := Start(t, site("to {$A} {$B}", warmup), addresses(b...))
	s.patch("p", b[1].Addr, `{"weight":3}`)
	if count := s.spread(s.URL("PORT", "/"), 40); count["B"] != 30 {
		t.Errorf("shares are %v, want B 30", count)
	}
}
