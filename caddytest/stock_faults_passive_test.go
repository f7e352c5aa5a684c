package caddytest

import (
	"fmt"
	"io"
	"net/http"
	"testing"
)

var passiveFaults = []fault{
	{
		name: "one_answer_counted_thrice", what: "`max_fails 3`, and answers that are bad in three ways: two patterns of `unhealthy_status`, and `unhealthy_latency`",
		run:   answersBadInThreeWays,
		stock: "out of service after 1 answer",
		ours:  "out of service after 3 answers",
	},
	{
		name: "broken_bodies_not_counted", what: "`max_fails 2`, and a backend that breaks off within each of its answers",
		run:   brokenBodies,
		stock: "10 of 10 requests are given to it",
		ours:  "2 of 10 requests are given to it",
	},
}

func answersBadInThreeWays(t *testing.T, proxy string) string {
	b := NewBackends(t, "A")
	b[0].Do(answer(http.StatusServiceUnavailable))
	s := startAs(t, proxy, `http://127.0.0.1:{$PORT} {
	{$PROXY} {$A} {
		fail_duration 1h
		max_fails 3
		unhealthy_status 5xx 503
		unhealthy_latency 1ns
	}
}
`, addresses(b...))
	for range 10 {
		s.Get(s.URL("PORT", "/"))
	}
	if b[0].Hits() == 1 {
		return "out of service after 1 answer"
	}
	return fmt.Sprintf("out of service after %d answers", b[0].Hits())
}

func brokenBodies(t *testing.T, proxy string) string {
	b := NewBackends(t, "A")
	b[0].Do(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "100")
		_, _ = io.WriteString(w, "only this")
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	})
	s := startAs(t, proxy, `http://127.0.0.1:{$PORT} {
	{$PROXY} {$A} {
		fail_duration 1h
		max_fails 2
	}
}
`, addresses(b...))
	for range 10 {
		r, err := fetch(s.Client, newRequest(t, http.MethodGet, s.URL("PORT", "/"), ""))
		if err == nil && r.Status != http.StatusServiceUnavailable {
			t.Fatalf("a part of an answer was given for the whole: status %d, %q", r.Status, r.Body)
		}
	}
	return fmt.Sprintf("%d of 10 requests are given to it", b[0].Hits())
}
