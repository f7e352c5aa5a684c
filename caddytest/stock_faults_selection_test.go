package caddytest

import (
	"fmt"
	"net/http"
	"testing"
)

var selectionFaults = []fault{
	{
		name: "weights_with_a_backend_down", what: "`weighted_round_robin 10 10 1` with a backend of weight 10 down",
		run:   weightsWithABackendDown,
		stock: "the backend of weight 1 gets 110 of 231 requests",
		ours:  "the backend of weight 1 gets 21 of 231 requests",
	},
	{
		name: "weights_in_runs", what: "`weighted_round_robin 5 1 1`",
		run:   weightsInRuns,
		stock: "up to 5 requests in a row for one backend",
		ours:  "up to 3 requests in a row for one backend",
	},
	{
		name: "second_cookie_on_retry", what: "policy `cookie`, and a request that only the second backend can be given to",
		run:   cookiesOnRetry,
		stock: "2 cookies",
		ours:  "1 cookie",
	},
	{
		name: "fallback_cookie", what: "policy `header` with `fallback cookie`, and a request without the field",
		run:   fallbackCookie,
		stock: "the handler panics",
		ours:  "200 and 1 cookie",
	},
}

func weightsWithABackendDown(t *testing.T, proxy string) string {
	b := NewBackends(t, "A", "B", "C")
	b[1].SetHealth(http.StatusServiceUnavailable)
	s := startAs(t, proxy, `http://127.0.0.1:{$PORT} {
	{$PROXY} {$A} {$B} {$C} {
		lb_policy weighted_round_robin 10 10 1
		health_uri /health
		health_interval 50ms
	}
}
`, addresses(b...))
	s.waitOut(b[1], 21)
	// As many requests as make whole rounds both of 10+10+1 and of 10+1.
	count := s.spread(s.URL("PORT", "/"), 231)
	return fmt.Sprintf("the backend of weight 1 gets %d of 231 requests", count["C"])
}

func weightsInRuns(t *testing.T, proxy string) string {
	b := NewBackends(t, "A", "B", "C")
	s := startAs(t, proxy, `http://127.0.0.1:{$PORT} {
	{$PROXY} {$A} {$B} {$C} {
		lb_policy weighted_round_robin 5 1 1
	}
}
`, addresses(b...))
	last, run, longest := "", 0, 0
	for range 70 {
		name := s.Get(s.URL("PORT", "/")).Backend()
		if name != last {
			last, run = name, 0
		}
		run++
		longest = max(longest, run)
	}
	return fmt.Sprintf("up to %d requests in a row for one backend", longest)
}

// cookies says how many cookies an answer sets.
func cookies(r Reply) string {
	if n := len(r.Header["Set-Cookie"]); n != 1 {
		return fmt.Sprintf("%d cookies", n)
	}
	return "1 cookie"
}

func cookiesOnRetry(t *testing.T, proxy string) string {
	b := NewBackends(t, "A", "B")
	b[0].Down()
	// Once a backend failed it is out of service, so that the first choice and the second are known.
	s := startAs(t, proxy, `http://127.0.0.1:{$PORT} {
	{$PROXY} {$A} {$B} {
		lb_policy cookie {
			fallback first
		}
		lb_retries 1
		fail_duration 1h
	}
}
`, addresses(b...))
	r := s.Get(s.URL("PORT", "/"))
	if r.Backend() != "B" {
		t.Fatalf("status %d from %q, want an answer from B", r.Status, r.Backend())
	}
	return cookies(r)
}

func fallbackCookie(t *testing.T, proxy string) string {
	b := NewBackends(t, "A", "B")
	s := startAs(t, proxy, `http://127.0.0.1:{$PORT} {
	{$PROXY} {$A} {$B} {
		lb_policy header X-Tenant {
			fallback cookie
		}
	}
}
`, addresses(b...))
	r, err := fetch(s.Client, newRequest(t, http.MethodGet, s.URL("PORT", "/"), ""))
	if err == nil {
		return fmt.Sprintf("%d and %s", r.Status, cookies(r))
	}
	// Stopped here, as the end of the test would take the panic in the log for a failure of its own.
	if stopped := s.Stop(); stopped == nil || !s.output.contains("panic serving") {
		t.Errorf("no answer, and no panic either: %v; %v", err, stopped)
	}
	return "the handler panics"
}
