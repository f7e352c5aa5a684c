package caddytest

import (
	"math"
	"net/http"
	"strings"
	"testing"
	"time"
)

// Ejections belong to the backend: a reload, of the options of outlier detection and of the set of backends, too, changes
// neither that it is out nor until when.
func TestEjectionSurvivesReloads(t *testing.T) {
	b := NewBackends(t, "A", "B", "C", "D")
	b[0].Do(answer(http.StatusInternalServerError))
	config := site(three, detection("consecutive_5xx 2"))
	s := Start(t, config, addresses(b...))
	before := s.askUntil(b[0], "ejected")
	b[0].Do(answer(http.StatusOK))
	for _, edit := range []struct{ name, from, to string }{
		{"elsewhere", "pool p\n", "pool p\n\t\theader_up X-Edit 1\n"},
		{"options of detection", "consecutive_5xx 2", "consecutive_5xx 7\n\t\t\tinterval 3s"},
		{"time of ejections", "base_ejection_time 1h", "base_ejection_time 30s"},
		{"policy", three, three + "\n\t\tlb_policy least_request"},
		{"a backend more", three, three + " {$D}"},
		{"a backend less", three, "to {$A} {$B}"},
	} {
		edited := strings.Replace(config, edit.from, edit.to, 1)
		if edited == config {
			t.Fatalf("%s: nothing is edited", edit.name)
		}
		s.mustReload(edited)
		after := s.level(b[0])
		same := after.State == "ejected" && after.Reason == before.Reason && after.Outlier.Ejections == 1 && after.Outlier.Times == 1 &&
			after.Outlier.Until != nil && sameTime(*after.Outlier.Until, *before.Outlier.Until) && sameTime(after.Since, before.Since)
		if !same {
			t.Errorf("%s: before %+v, after %+v", edit.name, before, after)
		}
		s.avoids(b[0], 10)
	}
	if n := s.countLog(func(l LogLine) bool { return l.Text("msg") == "backend is ejected" }); n != 1 {
		t.Errorf("one ejection is logged %d times", n)
	}

	s.mustReload(strings.Replace(config, three, "to {$B} {$C}", 1))
	s.mustReload(config)
	if l := s.level(b[0]); l.State != "up" || l.Outlier.Times != 0 || l.Outlier.Ejections != 0 {
		t.Errorf("after it was removed and came back: %+v", l)
	}
	if count := s.spread(s.URL("PORT", "/"), 30); count["A"] != 10 {
		t.Errorf("shares are %v after it was removed and came back", count)
	}
}

// sameTime reports whether two times are the same, up to how exactly they are read off a running clock.
func sameTime(a, b time.Time) bool { return a.Sub(b).Abs() < 50*time.Millisecond }

// The end of a time out comes when it would have come without a reload.
func TestEjectionEndsAfterReload(t *testing.T) {
	b := NewBackends(t, "A", "B", "C")
	b[0].Do(answer(http.StatusInternalServerError))
	config := site(three, detection("consecutive_5xx 2", "base_ejection_time 1s"))
	s := Start(t, config, addresses(b...))
	l := s.askUntil(b[0], "ejected")
	b[0].Do(answer(http.StatusOK))
	s.mustReload(config + "\n# an edit elsewhere\n")
	s.mustReload(config)
	s.waitLevel(b[0], "is on trial", inState("trial"))
	if early := time.Until(*l.Outlier.Until); early > 50*time.Millisecond {
		t.Errorf("it is on trial %s before its time", early)
	}
	s.mustReload(config + "\n# an edit elsewhere\n")
	if l := s.level(b[0]); l.State != "trial" {
		t.Errorf("after a reload the backend on trial is %s", l.State)
	}
	s.askUntil(b[0], "up")
}

// Failures in a row go on counting over a reload.
func TestFailuresInARowSurviveReload(t *testing.T) {
	b := NewBackends(t, "A", "B")
	b[0].Do(answer(http.StatusInternalServerError))
	config := site("to {$A} {$B}", detection("consecutive_5xx 4"))
	s := Start(t, config, addresses(b...))
	eventually(t, "three requests fail", func() bool {
		s.ask()
		return b[0].Hits() == 3
	})
	s.mustReload(config + "\n# an edit elsewhere\n")
	s.Client.CloseIdleConnections()
	s.askUntil(b[0], "ejected")
	if b[0].Hits() != 4 {
		t.Errorf("it was ejected after %d failures, want 4", b[0].Hits())
	}
}

// Whatever is known of backends is the same before and after a reload.
func TestEverythingKnownSurvivesReload(t *testing.T) {
	b := NewBackends(t, "A", "B", "C", "D")
	const config = "to {$A} {$B} {$C} {$D}"
	options := []string{
		config, quickCheck, detection("consecutive_5xx 2"), "slow_start 1h", "adaptive_concurrency",
		"lb_policy round_robin", "panic_threshold 20%",
	}
	s := Start(t, site(options...), addresses(b...))
	// A is ejected, B down, C drained and D in its slow start.
	s.spread(s.URL("PORT", "/"), 40)
	b[3].SetHealth(http.StatusServiceUnavailable)
	s.waitState("p", b[3].Addr, "down")
	b[3].SetHealth(http.StatusOK)
	s.waitLevel(b[3], "is in its slow start", func(l backendLevel) bool { return l.State == "up" && l.Warmth > 0 })
	b[1].SetHealth(http.StatusServiceUnavailable)
	s.waitState("p", b[1].Addr, "down")
	b[0].Do(answer(http.StatusInternalServerError))
	s.waitLevel(b[0], "is out, and not for its checks to have back", func(l backendLevel) bool {
		s.ask()
		return l.State == "ejected" && l.Reason == "on trial: 5xx"
	})
	s.patch("p", b[2].Addr, `{"drain":true}`)

	before := s.coping("p")
	for _, edit := range []string{"", "\n# an edit elsewhere\n"} {
		s.mustReload(strings.Replace(site(options...), "slow_start 1h", "slow_start 1h 1", 1) + edit)
		after := s.coping("p")
		for i, was := range before.Backends {
			is := after.Backends[i]
			if is.State != was.State || is.Outlier.Ejections != was.Outlier.Ejections || is.Outlier.Times != was.Outlier.Times ||
				is.Empty != was.Empty || is.Limit != was.Limit || is.Failures != was.Failures || !sameTime(is.Since, was.Since) {
				t.Errorf("before %+v\nafter  %+v", was, is)
			}
			if math.Abs(is.Warmth-was.Warmth) > 0.01 || math.Abs(is.Latency-was.Latency) > 0.3*was.Latency {
				t.Errorf("before warmth %v, latency %v; after %v, %v", was.Warmth, was.Latency, is.Warmth, is.Latency)
			}
		}
	}
}
