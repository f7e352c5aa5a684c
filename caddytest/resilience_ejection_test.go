package caddytest

import (
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// detection is outlier_detection with nothing but what a test is about, and without end.
func detection(rules ...string) string {
	off := map[string]bool{
		"consecutive_5xx": true, "consecutive_gateway_failure": true, "consecutive_connect_failure": true,
		"failure_percentage": true, "success_rate": true,
	}
	lines := []string{"max_ejection_percent 50"}
	times := false
	for _, r := range rules {
		name, _, _ := strings.Cut(r, " ")
		delete(off, name)
		times = times || name == "base_ejection_time"
		if name == "max_ejection_percent" {
			lines = lines[1:]
		}
	}
	for name := range off {
		lines = append(lines, name+" off")
	}
	if !times {
		lines = append(lines, "base_ejection_time 1h")
	}
	return block("outlier_detection", append(lines, rules...)...)
}

const three = "to {$A} {$B} {$C}"

// breakOff announces more than it sends.
func breakOff(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Length", "100")
	_, _ = io.WriteString(w, "only this")
	_ = http.NewResponseController(w).Flush()
	panic(http.ErrAbortHandler)
}

// Each kind of failure ejects a backend after exactly as many in a row as are configured.
func TestConsecutiveFailuresEject(t *testing.T) {
	for _, c := range []struct {
		name, rule, reason string
		behave             http.HandlerFunc // nil: it is down
		failures           int
	}{
		{"5xx", "consecutive_5xx 4", "4 consecutive 5xx", answer(http.StatusInternalServerError), 4},
		{"gateway counts as 5xx", "consecutive_5xx 3", "3 consecutive 5xx", answer(http.StatusBadGateway), 3},
		{"gateway", "consecutive_gateway_failure 3", "3 consecutive gateway failures", answer(http.StatusServiceUnavailable), 3},
		{"no answer", "consecutive_gateway_failure 2", "2 consecutive gateway failures", hangUp, 2},
		{"broken body", "consecutive_gateway_failure 3", "3 consecutive gateway failures", breakOff, 3},
		{"connect", "consecutive_connect_failure 2", "2 consecutive connect failures", nil, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := NewBackends(t, "A", "B", "C")
			if c.behave != nil {
				b[0].Do(c.behave)
			} else {
				b[0].Down()
			}
			s := Start(t, site(three, detection(c.rule)), addresses(b...))
			l := s.askUntil(b[0], "ejected")
			if l.Failures != c.failures || l.Reason != c.reason || l.Outlier.Times != 1 || l.Outlier.Ejections != 1 {
				t.Errorf("after %d failures: %+v", l.Failures, l)
			}
			if l.Outlier.Until == nil || l.Outlier.Until.Sub(l.Since).Round(time.Second) != time.Hour {
				t.Errorf("out from %s to %v, want an hour", l.Since, l.Outlier.Until)
			}
			s.avoids(b[0], 20)
			ejected := func(name string) float64 { return s.poolMetric(name, "backend", b[0].Addr) }
			if ejected("backend_ejected") != 1 || ejected("ejections_total") != 1 || ejected("backend_up") != 0 {
				t.Errorf("the metrics say ejected %v, ejections %v, up %v", ejected("backend_ejected"), ejected("ejections_total"), ejected("backend_up"))
			}
			event := s.WaitLog(t, "the event", isEvent("ejected", "p", b[0]))
			if event["data"].(map[string]any)["reason"] != c.reason {
				t.Errorf("the event has another reason: %v", event)
			}
		})
	}
}

// Failures that a rule is not about, or that are not in a row, eject nobody.
func TestOtherFailuresDoNotEject(t *testing.T) {
	alternating := func() http.HandlerFunc {
		var mu sync.Mutex
		n := 0
		return func(w http.ResponseWriter, r *http.Request) {
			mu.Lock()
			n++
			status := []int{500, 500, 200}[n%3]
			mu.Unlock()
			answer(status)(w, r)
		}
	}
	for _, c := range []struct {
		name, rule string
		behave     http.HandlerFunc
	}{
		{"500 is no gateway failure", "consecutive_gateway_failure 2", answer(http.StatusInternalServerError)},
		{"502 is no connect failure", "consecutive_connect_failure 2", answer(http.StatusBadGateway)},
		{"404", "consecutive_5xx 2", answer(http.StatusNotFound)},
		{"not in a row", "consecutive_5xx 3", alternating()},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := NewBackends(t, "A", "B", "C")
			b[0].Do(c.behave)
			s := Start(t, site(three, detection(c.rule)), addresses(b...))
			for range 45 {
				s.ask()
			}
			if l := s.level(b[0]); l.State != "up" || l.Outlier.Ejections != 0 || b[0].Hits() != 15 {
				t.Errorf("after %d requests: %+v", b[0].Hits(), l)
			}
		})
	}
}

// Rules about an interval find a backend by comparison.
func TestRatesEject(t *testing.T) {
	sometimes := func(w http.ResponseWriter, r *http.Request) {
		status := http.StatusOK
		if r.URL.Query().Get("n") == "0" {
			status = http.StatusInternalServerError
		}
		answer(status)(w, r)
	}
	slow := func(w http.ResponseWriter, r *http.Request) {
		time.Sleep(60 * time.Millisecond)
		answer(http.StatusOK)(w, r)
	}
	for _, c := range []struct {
		name, rule, reason string
		behave             http.HandlerFunc
	}{
		{"failure_percentage", "failure_percentage 40% min_requests 6 min_hosts 2", "% of ", sometimes},
		{"success_rate", "success_rate 1.2 min_requests 6 min_hosts 3", "success rate ", sometimes},
		{"latency", "latency 3 min_requests 3 min_hosts 3 floor 20ms", "latency ", slow},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := NewBackends(t, "A", "B", "C")
			b[0].Do(c.behave)
			s := Start(t, site(three, detection(c.rule, "interval 500ms")), addresses(b...))
			n := 0
			l := s.waitLevel(b[0], "is ejected", func(l backendLevel) bool {
				for range 12 {
					// Half of A's requests fail, and no two of them in a row.
					s.Get(s.URL("PORT", "/?n="+string(rune('0'+n/3%2))))
					n++
				}
				return l.State == "ejected"
			})
			if !strings.Contains(l.Reason, c.reason) {
				t.Errorf("the reason is %q, want one with %q", l.Reason, c.reason)
			}
			for _, other := range b[1:] {
				if l := s.level(other); l.State != "up" {
					t.Errorf("%s is %s: %s", other.Name, l.State, l.Reason)
				}
			}
			s.avoids(b[0], 20)
		})
	}
}

// However many backends fail, no more are out or on trial than may be, and one always serves.
func TestShareOfEjectedIsBounded(t *testing.T) {
	names := strings.Split("A B C D E F G H I J", " ")
	for _, c := range []struct {
		percent string
		most    int
	}{{"35", 3}, {"100", 9}} {
		t.Run(c.percent, func(t *testing.T) {
			b := NewBackends(t, names...)
			for _, one := range b {
				one.Do(answer(http.StatusInternalServerError))
			}
			s := Start(t, site("to {$A} {$B} {$C} {$D} {$E} {$F} {$G} {$H} {$I} {$J}",
				detection("consecutive_5xx 2", "base_ejection_time 30ms", "max_ejection_time 90ms", "max_ejection_percent "+c.percent)), addresses(b...))
			stop := make(chan struct{})
			var clients sync.WaitGroup
			for range 4 {
				clients.Go(func() {
					for {
						select {
						case <-stop:
							return
						default:
						}
						if r := s.Get(s.URL("PORT", "/")); r.Status != http.StatusInternalServerError {
							t.Errorf("status %d: %s", r.Status, r.Body)
						}
					}
				})
			}
			reached := 0
			for begun := time.Now(); time.Since(begun) < 1500*time.Millisecond; {
				away := 0
				for _, l := range s.coping("p").Backends {
					if l.State == "ejected" || l.State == "trial" {
						away++
					}
				}
				if away > c.most {
					t.Errorf("%d of 10 are out or on trial, may be %d", away, c.most)
				}
				reached = max(reached, away)
			}
			close(stop)
			clients.Wait()
			overflows := 0.0
			for _, one := range b {
				overflows += s.poolMetric("ejections_overflowed_total", "backend", one.Addr)
			}
			if reached < c.most || overflows == 0 {
				t.Errorf("%d were out, %v more would have been: the bound was not reached", reached, overflows)
			}
		})
	}
}

// An ejection holds only while somebody else could serve: not when the checks of all others fail.
func TestLastHealthyBackendIsNotEjected(t *testing.T) {
	b := NewBackends(t, "A", "B", "C")
	b[0].Do(answer(http.StatusInternalServerError))
	s := Start(t, site(three, quickCheck, detection("consecutive_5xx 2")), addresses(b...))
	s.waitLevel(b[0], "is out in spite of its checks", func(l backendLevel) bool {
		s.ask()
		return l.State == "ejected" && l.Reason == "on trial: 5xx"
	})
	for _, other := range b[1:] {
		other.SetHealth(http.StatusServiceUnavailable)
		s.waitState("p", other.Addr, "down")
	}
	for range 5 {
		if r := s.Get(s.URL("PORT", "/")); r.Backend() != "A" {
			t.Errorf("with the others down: status %d from %q, want A's", r.Status, r.Backend())
		}
	}
	b[1].SetHealth(http.StatusOK)
	s.waitState("p", b[1].Addr, "up")
	if l := s.level(b[0]); l.State != "ejected" || l.Outlier.Ejections != 2 {
		t.Errorf("with another one back: %+v", l)
	}
	s.avoids(b[0], 10)
}

// Where the share comes to less than one backend nothing is ever ejected, which is said.
func TestDetectionOfNobodyIsLogged(t *testing.T) {
	b := NewBackends(t, "A", "B", "C")
	b[0].Do(answer(http.StatusInternalServerError))
	idle := func(l LogLine) bool {
		return strings.HasPrefix(l.Text("msg"), "outlier detection will eject no backend")
	}
	s := Start(t, site(three, "outlier_detection"), addresses(b...))
	s.WaitLog(t, "that nobody can be ejected", idle)
	for range 30 {
		s.ask()
	}
	if l := s.level(b[0]); l.State != "up" || s.poolMetric("ejections_overflowed_total", "backend", b[0].Addr) == 0 {
		t.Errorf("after %d failures: %+v", l.Failures, l)
	}
	s.mustReload(site(three, block("outlier_detection", "always_eject_one")))
	s.Client.CloseIdleConnections()
	if n := s.countLog(idle); n != 1 {
		t.Errorf("it is said %d times, want once, with the first configuration", n)
	}
	s.askUntil(b[0], "ejected")
}
