package caddytest

import (
	"net/http"
	"testing"
)

const checked = `{
	debug
	lb_pool p {
		backend {$A}
		backend {$B}
		health_check http /health {
			interval 100ms
			timeout 5s
			jitter off
			consecutive_failure 3
			consecutive_success 2
		}
	}
}
http://127.0.0.1:{$PORT} {
	lb_proxy {
		pool p
	}
}
`

func TestThresholdsCountChecksInARow(t *testing.T) {
	b := NewBackends(t, "A", "B")
	var results checkScript
	b[0].healthScript = results.next
	s := Start(t, checked, addresses(b...))
	s.waitState("p", b[0].Addr, "up")

	// Two failures and a pass, again and again, never take it out.
	results.play(500, 500, 200, 500, 500, 200, 500, 500, 200)
	results.waitPlayed(t)
	if n := s.countLog(isEvent("unhealthy", "p", b[0])); n != 0 {
		t.Errorf("the backend went down %d times although no three checks in a row failed", n)
	}

	results.play(500, 500, 500)
	s.waitState("p", b[0].Addr, "down")
	before := b[0].Hits()
	s.spread(s.URL("PORT", "/"), 50)
	if got := b[0].Hits() - before; got != 0 {
		t.Errorf("a backend that is down got %d requests", got)
	}

	// It stays down through passes that are not in a row, and comes back after two that are.
	results.play(200, 500, 200, 500)
	results.waitPlayed(t)
	if n := s.countLog(isEvent("healthy", "p", b[0])); n != 0 {
		t.Errorf("the backend came back %d times although no two checks in a row passed", n)
	}
	results.play(200, 200)
	s.waitState("p", b[0].Addr, "up")
	if count := s.spread(s.URL("PORT", "/"), 50); count["A"] != 25 {
		t.Errorf("shares are %v after recovery, want 25 each", count)
	}

	// Exactly three failures take it out, exactly two passes bring it back.
	down, up := s.countLog(isEvent("unhealthy", "p", b[0])), s.countLog(isEvent("healthy", "p", b[0]))
	results.play(500, 500, 500, 200, 200)
	results.waitPlayed(t)
	if n := s.countLog(isEvent("unhealthy", "p", b[0])) - down; n != 1 {
		t.Errorf("three failed checks in a row took the backend out %d times, want once", n)
	}
	if n := s.countLog(isEvent("healthy", "p", b[0])) - up; n != 1 {
		t.Errorf("two passed checks in a row brought the backend back %d times, want once", n)
	}
}

func TestDeadBackendIsOutAndComesBack(t *testing.T) {
	b := NewBackends(t, "A", "B")
	s := Start(t, checked, addresses(b...))
	b[0].Down()
	s.waitState("p", b[0].Addr, "down")
	if count := s.spread(s.URL("PORT", "/"), 20); count["B"] != 20 {
		t.Errorf("shares are %v with one backend dead", count)
	}
	b[0].Up()
	s.waitState("p", b[0].Addr, "up")
	if count := s.spread(s.URL("PORT", "/"), 20); count["A"] != 10 {
		t.Errorf("shares are %v with the backend back, want 10 each", count)
	}
}

// A backend that dies between two checks must not cost a client its request.
func TestDeadBackendSurfacesInNoRequest(t *testing.T) {
	b := NewBackends(t, "A", "B", "C")
	b[1].Down()
	s := Start(t, `http://127.0.0.1:{$PORT} {
	lb_proxy {$A} {$B} {$C}
}
`, addresses(b...))
	for range 40 {
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			if r := s.do(newRequest(t, method, s.URL("PORT", "/"), "body")); r.Status != http.StatusOK {
				t.Fatalf("%s: status %d: %s", method, r.Status, r.Body)
			}
		}
	}
	if got := s.backend("127.0.0.1:"+s.vars["PORT"], b[1].Addr).Failures; got == 0 {
		t.Error("the dead backend was never tried, so the test shows nothing")
	}
}

// A backend that restarts leaves closed connections behind, which must not cost a client its request either.
func TestStaleConnectionsSurfaceInNoGet(t *testing.T) {
	b := NewBackends(t, "A", "B")
	s := Start(t, `http://127.0.0.1:{$PORT} {
	lb_proxy {$A} {$B}
}
`, addresses(b...))
	for round := range 20 {
		s.spread(s.URL("PORT", "/"), 4)
		b[round%2].Down()
		for range 2 {
			if r := s.do(newRequest(t, http.MethodGet, s.URL("PORT", "/"), "")); r.Status != http.StatusOK {
				t.Fatalf("round %d: status %d: %s", round, r.Status, r.Body)
			}
		}
		b[round%2].Up()
	}
}

// isEvent matches Caddy's own log line of an event about a backend.
func isEvent(name, pool string, of *Backend) func(LogLine) bool {
	return func(l LogLine) bool {
		data, _ := l["data"].(map[string]any)
		return l.Text("logger") == "events" && l.Text("name") == name && data["pool"] == pool && data["host"] == of.Addr
	}
}

func TestChangesOfHealthAreEvents(t *testing.T) {
	b := NewBackends(t, "A", "B")
	s := Start(t, checked, addresses(b...))
	b[0].SetHealth(http.StatusServiceUnavailable)
	line := s.WaitLog(t, "the event unhealthy", isEvent("unhealthy", "p", b[0]))
	if data := line["data"].(map[string]any); data["reason"] == "" || data["reason"] == nil {
		t.Errorf("the event has no reason: %v", line)
	}
	b[0].SetHealth(http.StatusOK)
	s.WaitLog(t, "the event healthy", isEvent("healthy", "p", b[0]))
	if n := s.countLog(isEvent("unhealthy", "p", b[0])); n != 1 {
		t.Errorf("one change was announced %d times", n)
	}
}

func TestInitialCheckHoldsBackTheConfiguration(t *testing.T) {
	b := NewBackends(t, "A", "B")
	b[0].SetHealth(http.StatusServiceUnavailable)
	s := Start(t, `http://127.0.0.1:{$PORT} {
	lb_proxy {$A} {$B} {
		health_check http /health {
			interval 1m
			timeout 10s
			initial check
		}
	}
}
`, addresses(b...))
	if count := s.spread(s.URL("PORT", "/"), 20); count["B"] != 20 {
		t.Errorf("shares are %v although one backend failed its first check", count)
	}
}
