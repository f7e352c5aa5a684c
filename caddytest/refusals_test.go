package caddytest

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

// flood sends n requests at once to a server whose one place is taken, and counts those refused.
func (s *Server) flood(t *testing.T, n int) (refused int) {
	t.Helper()
	var waiters []*waiting
	for range n {
		waiters = append(waiters, s.wait("/flood"))
	}
	for _, w := range waiters {
		if r := w.reply(t); r.Status == http.StatusServiceUnavailable {
			refused++
			shed(t, r)
		}
	}
	return refused
}

// isError reports whether a line is at the error level, and not of the access log.
func isError(l LogLine) bool { return l.Text("level") == "error" }

// isRefusals matches the line that sums up refused requests of p.
func isRefusals(l LogLine) bool {
	return l.Text("logger") == "lb" && l.Text("pool") == "p" && l.Text("level") == "warn" && l.Text("msg") == "requests are refused for want of a place"
}

// That requests are refused under overload is what was configured: it is told in sum, and not as an
// error each time.
func TestRefusalsAreToldInSum(t *testing.T) {
	s, g, first := occupied(t, site(onePlace, "queue 1 5s"))
	waits := s.wait("/waits")
	s.waitQueued(1)
	const n = 20
	began := time.Now()
	if refused := s.flood(t, n); refused != n {
		t.Fatalf("%d requests were refused, want %d", refused, n)
	}
	g.letGo(t)
	g.next(t)
	g.letGo(t)
	first.reply(t)
	waits.reply(t)
	line := s.WaitLog(t, "that requests are refused", isRefusals)
	if line["refused"] == nil || line["queue_full"] != line["refused"] {
		t.Errorf("operators were told %v", line)
	}
	single := func(l LogLine) bool {
		return l.Text("level") == "debug" && l.Text("msg") == "request refused" && strings.Contains(l.Text("error"), "no backend of pool p has a free place")
	}
	eventually(t, "each one is told at debug level", func() bool { return s.countLog(single) == n })
	if got := s.countLog(isError); got != 0 {
		t.Errorf("%d errors are logged", got)
	}
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	// What was not told at first is told at the latest when the server ends.
	sum := 0.0
	for _, l := range s.Log() {
		if isRefusals(l) {
			sum += l["refused"].(float64)
		}
	}
	limit := 2 + int(time.Since(began)/(10*time.Second))
	if lines := s.countLog(isRefusals); sum != n || lines > limit {
		t.Errorf("%v requests in %d lines, want %d in %d", sum, lines, n, limit)
	}
}

// Routes for errors see a request that was refused.
func TestRefusalsComeToErrorRoutes(t *testing.T) {
	s, g, first := occupied(t, strings.TrimSuffix(site(onePlace), "}\n")+"\thandle_errors {\n\t\trespond \"sorry: {err.message}\" 503\n\t}\n}\n")
	r := s.Get(s.URL("PORT", "/"))
	shed(t, r)
	if !strings.HasPrefix(r.Body, "sorry: no backend of pool p is available") {
		t.Errorf("the answer is %q", r.Body)
	}
	g.letGo(t)
	first.reply(t)
	s.WaitLog(t, "that requests are refused", isRefusals)
	if got := s.countLog(isError); got != 0 {
		t.Errorf("%d errors are logged", got)
	}
}
