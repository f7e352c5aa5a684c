package caddytest

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

// told are the lines for operators: those of the logger lb, at info or above, about a backend of a
// pool.
func (s *Server) told(pool string, b *Backend) (lines []LogLine) {
	for _, l := range s.Log() {
		if l.Text("logger") == "lb" && l.Text("level") != "debug" && l.Text("pool") == pool && l.Text("backend") == b.Addr {
			lines = append(lines, l)
		}
	}
	return lines
}

// expectTold waits until operators were told so much of a backend, and checks that these are all
// messages. available is how many backends are left by each of them.
func (s *Server) expectTold(pool string, b *Backend, available []float64, messages ...string) []LogLine {
	s.t.Helper()
	eventually(s.t, "operators are told: "+messages[len(messages)-1], func() bool { return len(s.told(pool, b)) >= len(messages) })
	lines := s.told(pool, b)
	var got []string
	for i, l := range lines {
		got = append(got, l.Text("msg"))
		if l.Text("reason") == "" || l["of"] == nil {
			s.t.Errorf("a line without its reason, or without how many there are: %v", l)
		}
		if i < len(available) && l["available"] != available[i] {
			s.t.Errorf("%v are left, want %v: %v", l["available"], available[i], l)
		}
	}
	if strings.Join(got, "; ") != strings.Join(messages, "; ") {
		s.t.Errorf("operators were told %q, want %q", got, messages)
	}
	return lines
}

const (
	unreachable = "backend cannot be connected to"
	reachable   = "backend can be connected to again"
	unhealthy   = "backend is unhealthy"
	healthy     = "backend is healthy"
)

// A backend that cannot be connected to is told of once, however many requests find out, and once
// when it answers again: with passive checks too, which let it back now and then.
func TestUnreachableBackendIsToldOnce(t *testing.T) {
	for name, options := range map[string]string{
		"without checks":      "",
		"with passive checks": "fail_duration 20ms",
		"with active checks":  "health_check tcp {\n\t\t\tinterval 1h\n\t\t}",
	} {
		t.Run(name, func(t *testing.T) {
			b := NewBackends(t, "A", "B")
			s := Start(t, "http://127.0.0.1:{$PORT} {\n\tlb_proxy {$A} {$B} {\n\t\t"+options+"\n\t}\n}\n", addresses(b...))
			pool := s.onlyPool()
			s.spread(s.URL("PORT", "/"), 4)
			b[1].Down()
			eventually(t, "several requests fail to connect", func() bool {
				s.spread(s.URL("PORT", "/"), 4)
				return s.backend(pool, b[1].Addr).Failures >= 5
			})
			line := s.expectTold(pool, b[1], []float64{1}, unreachable)[0]
			if line.Text("level") != "warn" || !strings.Contains(line.Text("reason"), "refused") || line["of"] != 2.0 {
				t.Errorf("operators were told %v", line)
			}
			if r := s.Admin(http.MethodGet, "/lb/pools", ""); strings.Count(r.Body, `"unreachable":"`) != 1 {
				t.Errorf("the admin API does not say who is unreachable: %s", r.Body)
			}
			if err := s.Reload("http://127.0.0.1:{$PORT} {\n\tlb_proxy {$A} {$B} {\n\t\t" + options + "\n\t}\n\theader X-Edit 1\n}\n"); err != nil {
				t.Fatal(err)
			}
			b[1].Up()
			before := b[1].Hits()
			eventually(t, "it answers", func() bool {
				s.spread(s.URL("PORT", "/"), 4)
				return b[1].Hits() > before
			})
			s.spread(s.URL("PORT", "/"), 4)
			if line = s.expectTold(pool, b[1], []float64{1, 2}, unreachable, reachable)[1]; line.Text("level") != "info" {
				t.Errorf("operators were told %v", line)
			}
			if r := s.Admin(http.MethodGet, "/lb/pools", ""); strings.Contains(r.Body, "unreachable") {
				t.Errorf("the admin API says that one is unreachable still: %s", r.Body)
			}
			if n := len(s.told(pool, b[0])); n != 0 {
				t.Errorf("%d lines about the backend that was always there", n)
			}
		})
	}
}

// That TLS cannot be agreed on is a failure to connect as well.
func TestFailedHandshakeIsTold(t *testing.T) {
	b := NewBackends(t, "A", "B")
	s := Start(t, "http://127.0.0.1:{$PORT} {\n\tlb_proxy https://{$A} https://{$B}\n}\n", addresses(b...))
	for range 3 {
		if r := s.Get(s.URL("PORT", "/")); r.Status != http.StatusBadGateway {
			t.Fatalf("status %d", r.Status)
		}
	}
	for _, b := range b {
		if line := s.expectTold(s.onlyPool(), b, nil, unreachable)[0]; !strings.Contains(line.Text("reason"), "TLS") {
			t.Errorf("operators were told %v", line)
		}
	}
}

// Active checks take a dead backend out with one line for each pool that has it, and none besides
// when requests find out first.
func TestChangesByChecksAreOneLine(t *testing.T) {
	const check = "health_check tcp {\n\t\t\tinterval 50ms\n\t\t}\n\t\thealth_check http /health {\n\t\t\tinterval 60ms\n\t\t}\n"
	b := NewBackends(t, "A", "B")
	s := Start(t, "{\n\tlb_pool p {\n\t\tto {$A} {$B}\n\t\t"+check+"\t}\n}\nhttp://127.0.0.1:{$PORT} {\n\tlb_proxy /own {$A} {$B} {\n\t\t"+
		check+"\t}\n\tlb_proxy {\n\t\tpool p\n\t}\n}\n", addresses(b...))
	var own string
	for _, p := range s.pools() {
		if p.Name != "p" {
			own = p.Name
		}
	}
	b[1].Down()
	eventually(t, "both pools have it down", func() bool {
		s.Get(s.URL("PORT", "/"))
		return s.backend("p", b[1].Addr).State == "down" && s.backend(own, b[1].Addr).State == "down"
	})
	b[1].Up()
	s.waitState("p", b[1].Addr, "up")
	s.waitState(own, b[1].Addr, "up")
	s.expectTold(own, b[1], []float64{1, 2}, unhealthy, healthy)
	eventually(t, "the pool with requests is told of", func() bool { return len(s.told("p", b[1])) == 2 })
	if lines := s.told("p", b[1]); lines[0]["available"] != 1.0 || lines[1]["available"] != 2.0 || lines[1].Text("level") != "info" {
		t.Errorf("operators were told %v", lines)
	}
	if n := s.countLog(func(l LogLine) bool {
		return l.Text("level") != "debug" && l.Text("logger") != "lb" && strings.Contains(l.Text("logger"), "lb")
	}); n != 0 {
		t.Errorf("%d lines under other loggers", n)
	}
}

// A backend that is assumed to be down until its first check is told of when that has failed.
func TestFirstFailureIsTold(t *testing.T) {
	b := NewBackends(t, "A", "B")
	b[1].SetHealth(http.StatusServiceUnavailable)
	s := Start(t, site("to {$A} {$B}", block("health_check http /health", "interval 50ms", "initial unhealthy")), addresses(b...))
	s.expectTold("p", b[0], nil, healthy)
	if line := s.expectTold("p", b[1], nil, unhealthy)[0]; !strings.Contains(line.Text("reason"), "503") {
		t.Errorf("operators were told %v", line)
	}
}

// Passive checks that go by the status are told of like active ones.
func TestChangesByPassiveChecksAreOneLine(t *testing.T) {
	b := NewBackends(t, "A", "B")
	b[1].Do(answer(http.StatusInternalServerError))
	s := Start(t, site("to {$A} {$B}", "unhealthy_status 5xx", "fail_duration 1s"), addresses(b...))
	eventually(t, "B answers badly", func() bool { return s.Get(s.URL("PORT", "/")).Status == http.StatusInternalServerError })
	b[1].Do(answer(http.StatusOK))
	s.waitState("p", b[1].Addr, "up")
	s.expectTold("p", b[1], []float64{1, 2}, unhealthy, healthy)
}

// Each order that changes something is one line in each pool that has the backend. One that changes
// nothing is none.
func TestOrdersAreOneLine(t *testing.T) {
	b := NewBackends(t, "A", "B", "C")
	s := Start(t, reloadable, addresses(b...))
	for _, order := range []string{
		`{"drain":true}`, `{"drain":true}`, `{"drain":false}`, `{"weight":7}`, `{"weight":7}`, `{"weight":null}`, `{"weight":null}`,
	} {
		s.patch("p", b[0].Addr, order)
	}
	if weight := s.backend("p", b[0].Addr).Weight; weight != 3 {
		t.Errorf("the weight is %d after it was taken back, want 3", weight)
	}
	lines := s.expectTold("p", b[0], []float64{2, 3, 3, 3}, "backend is drained", "backend is not drained any more",
		"backend has another weight", "backend has its configured weight again")
	for i, weight := range map[int]float64{2: 7, 3: 3} {
		if lines[i]["weight"] != weight || !strings.Contains(lines[i].Text("reason"), "admin API") {
			t.Errorf("operators were told %v", lines[i])
		}
	}
	s.patch("p", b[1].Addr, `{"weight":5}`)
	s.mustReload(reloadable + "\n# an edit elsewhere\n")
	s.mustReload(strings.Replace(reloadable, "{$B} weight 1", "{$B} weight 2", 1))
	line := s.expectTold("p", b[1], nil, "backend has another weight", "backend has its configured weight again")[1]
	if line["weight"] != 2.0 || !strings.Contains(line.Text("reason"), "configured") {
		t.Errorf("operators were told %v", line)
	}
}

// An ejection and a return are one line each, with how many backends are left.
func TestEjectionIsOneLine(t *testing.T) {
	b := NewBackends(t, "A", "B", "C")
	b[0].Do(answer(http.StatusInternalServerError))
	s := Start(t, site(three, detection("consecutive_5xx 2", "base_ejection_time 200ms")), addresses(b...))
	s.askUntil(b[0], "ejected")
	b[0].Do(answer(http.StatusOK))
	s.askUntil(b[0], "up")
	line := s.expectTold("p", b[0], []float64{2, 3}, "backend is ejected", "backend is back")[0]
	if line.Text("level") != "warn" || line["times"] != 1.0 || line["for"] == nil {
		t.Errorf("operators were told %v", line)
	}
}

// Tiers that stand in and panic are told of, each when it begins and ends.
func TestTiersAndPanicAreTold(t *testing.T) {
	b := NewBackends(t, "A", "B", "C")
	s := Start(t, site("to {$A} {$B}", "backend {$C} {\n\t\t\tpriority 1\n\t\t}", "panic_threshold 60%",
		block("health_check http /health", "interval 50ms")), addresses(b...))
	pools := func(message string) int {
		return s.countLog(func(l LogLine) bool {
			return l.Text("logger") == "lb" && l.Text("pool") == "p" && strings.HasPrefix(l.Text("msg"), message) && l.Text("reason") != ""
		})
	}
	wait := func(message string, n int) {
		t.Helper()
		eventually(t, message, func() bool { return pools(message) >= n })
		if got := pools(message); got != n {
			t.Errorf("%q was told %d times, want %d", message, got, n)
		}
	}
	set := func(status int) {
		for _, b := range b {
			b.SetHealth(status)
		}
	}
	b[0].SetHealth(http.StatusServiceUnavailable)
	b[1].SetHealth(http.StatusServiceUnavailable)
	wait("tier stands in", 1)
	b[0].SetHealth(http.StatusOK)
	b[1].SetHealth(http.StatusOK)
	wait("tier does not stand in any more", 1)
	set(http.StatusServiceUnavailable)
	for _, b := range b {
		s.waitState("p", b.Addr, "down")
	}
	wait("panic mode begins", 2) // in each tier
	set(http.StatusOK)
	wait("panic mode ends", 2)
}

// A backend that is reached and lost again and again does not fill the log.
func TestFlappingIsToldSeldom(t *testing.T) {
	b := NewBackends(t, "A", "B")
	s := Start(t, "http://127.0.0.1:{$PORT} {\n\tlb_proxy {$A} {$B}\n}\n", addresses(b...))
	began := time.Now()
	for range 20 {
		b[1].Down()
		s.spread(s.URL("PORT", "/"), 4)
		b[1].Up()
		s.spread(s.URL("PORT", "/"), 4)
	}
	limit := 2 * (1 + int(time.Since(began)/(10*time.Second)))
	if n := len(s.told(s.onlyPool(), b[1])); n == 0 || n > limit {
		t.Errorf("%d lines, want one to %d", n, limit)
	}
}
