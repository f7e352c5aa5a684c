package caddytest

import (
	"math"
	"net/http"
	"testing"
)

// quickCheck takes backends out and brings them back as SetHealth says; they answer requests all the time, so that each one
// given to them is counted.
var quickCheck = block("health_check http /health", "interval 50ms", "timeout 5s")

// setHealthy has the pool p find exactly the first n of backends healthy.
func (s *Server) setHealthy(backends []*Backend, n int) {
	s.t.Helper()
	for i, b := range backends {
		status, state := http.StatusServiceUnavailable, "down"
		if i < n {
			status, state = http.StatusOK, "up"
		}
		b.SetHealth(status)
		s.waitState("p", b.Addr, state)
	}
}

// share is which part of n requests backends get, one after another.
func (s *Server) share(n int, backends ...*Backend) float64 {
	s.t.Helper()
	count := s.spread(s.URL("PORT", "/"), n)
	sum := 0
	for _, b := range backends {
		sum += count[b.Name]
	}
	return float64(sum) / float64(n)
}

const fourAndTwo = "to {$A} {$B} {$C} {$D}\n\t\tbackend {$E} priority 1\n\t\tbackend {$F} priority 1"

// A tier keeps its load until 1/1.4 of its members are available; then it spills as Envoy's formula says.
func TestTiersSpillByTheFormula(t *testing.T) {
	b := NewBackends(t, "A", "B", "C", "D", "E", "F")
	s := Start(t, site(fourAndTwo, quickCheck), addresses(b...))
	for healthy, want := range map[int]float64{4: 1, 3: 1, 2: 0.7, 1: 0.35, 0: 0} {
		s.setHealthy(b[:4], healthy)
		tiers := s.coping("p").Tiers
		if len(tiers) != 2 || math.Abs(tiers[0].Load-want) > 1e-9 || math.Abs(tiers[1].Load-(1-want)) > 1e-9 || tiers[0].Available != healthy {
			t.Errorf("%d of 4 available: tiers are %+v, want a load of %v", healthy, tiers, want)
		}
		if load := s.poolMetric("tier_load", "priority", "0"); math.Abs(load-want) > 1e-9 {
			t.Errorf("%d of 4 available: the metric of the load is %v, want %v", healthy, load, want)
		}
		n := 200 // enough where all go to one tier
		if want != 0 && want != 1 {
			n = 1500 // a standard deviation is 1.2 %
		}
		if got := s.share(n, b[:4]...); math.Abs(got-want) > 0.06*math.Ceil(want)*math.Ceil(1-want) {
			t.Errorf("%d of 4 available: the first tier got %.3f of the requests, want %.2f", healthy, got, want)
		}
	}
}

// Tiers that are short together share the load by what they have.
func TestTiersShortTogether(t *testing.T) {
	b := NewBackends(t, "A", "B", "C", "D", "E", "F", "G", "H")
	s := Start(t, site("to {$A} {$B} {$C} {$D}\n\t\tbackend {$E} priority 1\n\t\tbackend {$F} priority 1\n\t\t"+
		"backend {$G} priority 1\n\t\tbackend {$H} priority 1", quickCheck), addresses(b...))
	s.setHealthy(b[:4], 2) // 0.7 of its load
	s.setHealthy(b[4:], 0)
	if tiers := s.coping("p").Tiers; tiers[0].Load != 1 {
		t.Errorf("with the second tier dead, tiers are %+v", tiers)
	}
	s.setHealthy(b[:4], 1)
	s.setHealthy(b[4:], 1) // 0.35 each
	if tiers := s.coping("p").Tiers; math.Abs(tiers[0].Load-0.5) > 1e-9 || math.Abs(tiers[1].Load-0.5) > 1e-9 {
		t.Errorf("with one of four in each tier, tiers are %+v", tiers)
	}
}

// Without overprovisioning the next tier gets nothing until this one has nobody.
func TestStrictTiers(t *testing.T) {
	b := NewBackends(t, "A", "B", "C", "D", "E", "F")
	s := Start(t, site(fourAndTwo, quickCheck, "overprovisioning off"), addresses(b...))
	for healthy, want := range []float64{0, 1, 1, 1, 1} {
		s.setHealthy(b[:4], healthy)
		if got := s.share(60, b[:4]...); got != want {
			t.Errorf("%d of 4 available: the first tier got %v of the requests, want %v", healthy, got, want)
		}
	}
}

// Backups serve when no other one can, of whatever tier, and no longer.
func TestBackups(t *testing.T) {
	b := NewBackends(t, "A", "B", "C", "D")
	s := Start(t, site("backend {$A}\n\t\tbackend {$B} priority 1\n\t\tbackend {$C} backup\n\t\tbackend {$D} backup", quickCheck), addresses(b...))
	backups := func() float64 { return s.share(20, b[2:]...) }
	if got := backups(); got != 0 {
		t.Errorf("with all up, backups got %v of the requests", got)
	}
	s.setHealthy(b[:2], 1)
	if got := backups(); got != 0 {
		t.Errorf("with one tier up, backups got %v of the requests", got)
	}
	s.setHealthy(b[:2], 0)
	if count := s.spread(s.URL("PORT", "/"), 20); count["C"] != 10 || count["D"] != 10 {
		t.Errorf("with all others down, shares are %v, want the backups' 10 each", count)
	}
	tiers := s.coping("p").Tiers
	if last := tiers[len(tiers)-1]; last.Priority != -1 || last.Load != 1 {
		t.Errorf("backups serve, and tiers are %+v", tiers)
	}
	if load := s.poolMetric("tier_load", "priority", "-1"); load != 1 {
		t.Errorf("backups serve, and the metric of their load is %v", load)
	}
	s.setHealthy(b[:2], 1)
	if got := backups(); got != 0 {
		t.Errorf("with one back, backups got %v of the requests", got)
	}
}

// A backend that refuses connections is passed over at once, to the backup when there is no other.
func TestBackupAtTheFirstFailure(t *testing.T) {
	b := NewBackends(t, "A", "B")
	s := Start(t, site("backend {$A}\n\t\tbackend {$B} backup"), addresses(b...))
	b[0].Down()
	for _, method := range []string{http.MethodGet, http.MethodPost} {
		if r := s.do(newRequest(t, method, s.URL("PORT", "/"), "x")); r.Status != http.StatusOK || r.Backend() != "B" {
			t.Errorf("%s: status %d from %q", method, r.Status, r.Backend())
		}
	}
}

// When too few are available, all in rotation are used, whatever their health.
func TestPanic(t *testing.T) {
	b := NewBackends(t, "A", "B", "C", "D", "E")
	s := Start(t, site("to {$A} {$B} {$C} {$D}\n\t\tbackend {$E} weight 0", quickCheck, "panic_threshold 50%"), addresses(b...))
	inPanic := func() bool {
		tiers := s.coping("p").Tiers
		panics := len(tiers) > 0 && tiers[0].Panic
		if metric := s.poolMetric("tier_panic", "priority", "0") == 1; metric != panics {
			t.Errorf("panic is %v in the admin API and %v in metrics", panics, metric)
		}
		return panics
	}
	s.setHealthy(b[:4], 2)
	if inPanic() {
		t.Error("with half of the backends available the pool is in panic")
	}
	if got := s.share(20, b[:2]...); got != 1 {
		t.Errorf("those available got %v of the requests", got)
	}
	s.setHealthy(b[:4], 1)
	if !inPanic() {
		t.Error("with a quarter of the backends available the pool is not in panic")
	}
	if count := s.spread(s.URL("PORT", "/"), 40); count["A"] != 10 || count["B"] != 10 || count["C"] != 10 || count["D"] != 10 {
		t.Errorf("in panic shares are %v, want 10 each, and nothing for E, which is drained", count)
	}
	s.patch("p", b[3].Addr, `{"drain":true}`)
	if count := s.spread(s.URL("PORT", "/"), 30); count["A"] != 10 || count["B"] != 10 || count["C"] != 10 {
		t.Errorf("in panic shares are %v with D drained by an operator, too", count)
	}
	s.patch("p", b[3].Addr, `{"drain":false}`)
	s.setHealthy(b[:4], 2)
	if inPanic() {
		t.Error("with half of the backends back the pool is still in panic")
	}
	s.avoids(b[3], 20)
}

// Panic overrules outlier detection as it does checks.
func TestPanicUsesTheEjected(t *testing.T) {
	b := NewBackends(t, "A", "B", "C", "D")
	for _, bad := range b[:3] {
		bad.Do(answer(http.StatusInternalServerError))
	}
	s := Start(t, site("to {$A} {$B} {$C} {$D}", "panic_threshold 50%", detection("consecutive_5xx 2", "max_ejection_percent 100")), addresses(b...))
	eventually(t, "the pool is in panic", func() bool {
		s.ask()
		tiers := s.coping("p").Tiers
		return len(tiers) > 0 && tiers[0].Panic
	})
	for _, bad := range b[:3] {
		bad.Do(answer(http.StatusOK))
	}
	if count := s.spread(s.URL("PORT", "/"), 40); count["A"] != 10 || count["D"] != 10 {
		t.Errorf("in panic shares are %v, want 10 each", count)
	}
}

// A backend that an operator took out leaves its part of the load to the other tier; one that is configured to have none does not.
func TestTiersWithoutTheDrained(t *testing.T) {
	b := NewBackends(t, "A", "B", "C", "D", "E", "F", "G")
	s := Start(t, site(fourAndTwo+"\n\t\tbackend {$G} weight 0"), addresses(b...))
	load := func() float64 { return s.coping("p").Tiers[0].Load }
	for _, c := range []struct {
		order string
		want  float64
	}{{`{"drain":true}`, 0.7}, {`{"drain":false}`, 1}, {`{"weight":0}`, 0.7}, {`{"weight":1}`, 1}} {
		for _, one := range b[:2] {
			s.patch("p", one.Addr, c.order)
		}
		if got := load(); math.Abs(got-c.want) > 1e-9 {
			t.Errorf("after %s of two of four the tier's load is %v, want %v", c.order, got, c.want)
		}
	}
}
