package caddytest

import (
	"bufio"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"testing"
	"time"
)

// ejectedFor is the log line of a backend's ejection, by how many in a row it was.
func ejectedFor(b *Backend, times int) func(LogLine) bool {
	return func(l LogLine) bool {
		return l.Text("msg") == "backend is ejected" && l.Text("backend") == b.Addr && l["times"] == float64(times)
	}
}

// Each ejection in a row is longer than the one before, up to the longest. Good behaviour is rewarded.
func TestEjectionsGrowAndShrink(t *testing.T) {
	b := NewBackends(t, "A", "B", "C")
	b[0].Do(answer(http.StatusInternalServerError))
	s := Start(t, site(three, detection("consecutive_5xx 2", "interval 150ms", "base_ejection_time 200ms", "max_ejection_time 500ms")), addresses(b...))
	before := 0.0
	for i, want := range []float64{0.2, 0.4, 0.5} {
		times := i + 1
		var line LogLine
		eventually(t, fmt.Sprint("ejection ", times), func() bool {
			s.ask()
			for _, l := range s.Log() {
				if ejectedFor(b[0], times)(l) {
					line = l
					return true
				}
			}
			return false
		})
		// A busy machine logs it when some of that time is over.
		if lasts := line["for"].(float64); lasts <= before || lasts > want {
			t.Errorf("ejection %d lasts %v s, want %v", times, lasts, want)
		}
		before = want
		if reason := line.Text("reason"); times > 1 && reason != "on trial: 5xx" {
			t.Errorf("ejection %d has the reason %q", times, reason)
		}
	}
	// Three in a row are as long as it gets, so there is no fourth to be forgiven.
	l := s.waitLevel(b[0], "is out for the third time or more", func(l backendLevel) bool {
		if l.Outlier.Times == 3 && l.State == "ejected" {
			return true
		}
		s.ask() // it was on trial before anybody looked
		return false
	})
	if lasts := l.Outlier.Until.Sub(l.Since); math.Abs(lasts.Seconds()-0.5) > 0.01 {
		t.Errorf("the admin API says it is out for %s, want 500ms", lasts)
	}
	b[0].Do(answer(http.StatusOK))
	s.askUntil(b[0], "up")
	s.WaitLog(t, "that it returned", isEvent("returned", "p", b[0]))
	s.waitLevel(b[0], "is forgiven", func(l backendLevel) bool { return l.Outlier.Times == 0 })
	if n := s.level(b[0]).Outlier.Ejections; n < 3 {
		t.Errorf("%d ejections are counted", n)
	}
}

// trialAtGate is a pool of three of which the first is on trial, and holds its requests at a gate.
func trialAtGate(t *testing.T) (*Server, []*Backend, *gate) {
	t.Helper()
	b := NewBackends(t, "A", "B", "C")
	b[0].Do(answer(http.StatusInternalServerError))
	s := Start(t, site(three, detection("consecutive_5xx 2", "base_ejection_time 200ms")), addresses(b...))
	s.askUntil(b[0], "ejected")
	g := newGate()
	b[0].Do(g.ServeHTTP)
	s.waitLevel(b[0], "is on trial", inState("trial"))
	return s, b, g
}

// A backend whose time is over gets one request at a time, until that one was good.
func TestTrialIsOneRequestAtATime(t *testing.T) {
	s, b, g := trialAtGate(t)

	var first *waiting
	eventually(t, "a request comes to A", func() bool {
		w := s.wait("/")
		select {
		case <-g.entered:
			first = w
			return true
		case r := <-w.answered:
			return r.Backend() == "A"
		}
	})
	s.avoids(b[0], 20)
	if l := s.level(b[0]); l.State != "trial" || l.Active != 1 {
		t.Errorf("with a request under way on trial: %+v", l)
	}
	b[0].Do(answer(http.StatusOK))
	g.letGo(t)
	if r := first.reply(t); r.Status != http.StatusOK {
		t.Errorf("the request on trial was answered %d", r.Status)
	}
	s.waitLevel(b[0], "is back", inState("up"))
	if count := s.spread(s.URL("PORT", "/"), 30); count["A"] != 10 {
		t.Errorf("shares are %v after the return", count)
	}
	if n := s.countLog(isEvent("returned", "p", b[0])); n != 1 {
		t.Errorf("the return was announced %d times", n)
	}
}

// A client that leaves in the course of a trial says nothing of the backend, and gives the place to another one.
func TestTrialGoesOnWithoutItsClient(t *testing.T) {
	s, b, g := trialAtGate(t)
	for range 2 {
		eventually(t, "a request comes to A and is given up", func() bool {
			w := s.wait("/")
			select {
			case <-g.entered:
				w.leave()
				<-w.answered
				return true
			case <-w.answered:
				return false
			}
		})
		s.waitLevel(b[0], "has its place free", func(l backendLevel) bool { return l.Active == 0 })
	}
	if l := s.level(b[0]); l.State != "trial" {
		t.Errorf("after clients left: %+v", l)
	}
}

// An answer without an end would hold the only place for good, so that its header is enough.
func TestStreamEndsTrialAtItsHeader(t *testing.T) {
	stream := func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	}
	upgrade := func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nX-Backend: A\r\nConnection: Upgrade\r\nUpgrade: test\r\n\r\n")
		_, _ = io.Copy(io.Discard, conn)
	}
	for name, c := range map[string]struct {
		behave http.HandlerFunc
		header string
	}{
		"stream":  {stream, ""},
		"upgrade": {upgrade, "Connection: Upgrade\r\nUpgrade: test\r\n"},
	} {
		t.Run(name, func(t *testing.T) {
			b := NewBackends(t, "A", "B", "C")
			b[0].Do(answer(http.StatusInternalServerError))
			s := Start(t, site(three, detection("consecutive_5xx 2", "base_ejection_time 200ms")), addresses(b...))
			s.askUntil(b[0], "ejected")
			b[0].Do(c.behave)
			s.waitLevel(b[0], "is on trial", inState("trial"))
			eventually(t, "a request comes to A", func() bool {
				conn, err := net.Dial("tcp", "127.0.0.1:"+s.vars["PORT"])
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { conn.Close() })
				_ = conn.SetDeadline(time.Now().Add(patience()))
				fmt.Fprintf(conn, "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n%s\r\n", c.header)
				resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
				if err != nil {
					t.Fatal(err)
				}
				return resp.Header.Get("X-Backend") == "A"
			})
			l := s.waitLevel(b[0], "is back", inState("up"))
			if l.Active != 1 {
				t.Errorf("the request on trial is over, so the test shows nothing: %+v", l)
			}
		})
	}
}

// A passed check brings an ejected backend back for a trial early, once: if requests fail all the same, the check is
// not believed.
func TestPassedCheckReturnsEarlyOnce(t *testing.T) {
	b := NewBackends(t, "A", "B", "C")
	b[0].Do(answer(http.StatusInternalServerError))
	check := block("health_check http /health", "interval 100ms", "timeout 5s")
	s := Start(t, site(three, check, detection("consecutive_5xx 2")), addresses(b...))
	for range 2 {
		s.askFor(b[0], 2) // and it is ejected
		b[0].Do(answer(http.StatusOK))
		s.waitLevel(b[0], "is on trial long before its hour is over", inState("trial"))
		s.askUntil(b[0], "up")
		b[0].Do(answer(http.StatusInternalServerError))
	}
	s.askFor(b[0], 2)
	eventually(t, "the trial fails, too", func() bool {
		s.ask()
		return s.level(b[0]).Outlier.Reason == "on trial: 5xx"
	})
	seen := b[0].Checks()
	eventually(t, "checks go on", func() bool { return b[0].Checks() > seen+4 })
	if l := s.level(b[0]); l.State != "ejected" || l.Reason != "on trial: 5xx" {
		t.Errorf("after a trial that a check gave failed: %+v", l)
	}
	s.avoids(b[0], 20)
}

// A backend that is out because it is slow does not come back by checks, which are quick.
func TestPassedCheckDoesNotReturnTheSlow(t *testing.T) {
	b := NewBackends(t, "A", "B", "C")
	b[0].Do(func(w http.ResponseWriter, r *http.Request) {
		time.Sleep(60 * time.Millisecond)
		answer(http.StatusOK)(w, r)
	})
	check := block("health_check http /health", "interval 50ms", "timeout 5s")
	s := Start(t, site(three, check, detection("latency 3 min_requests 3 min_hosts 3 floor 20ms", "interval 500ms")), addresses(b...))
	s.waitLevel(b[0], "is ejected", func(l backendLevel) bool {
		if l.State == "ejected" {
			return true
		}
		s.spread(s.URL("PORT", "/"), 12)
		return false
	})
	seen := b[0].Checks()
	eventually(t, "checks go on", func() bool { return b[0].Checks() > seen+4 })
	// A trial on the word of a check, and its failure, would be a second ejection.
	if l := s.level(b[0]); l.State != "ejected" || l.Outlier.Ejections != 1 {
		t.Errorf("after checks passed: %+v", l)
	}
}

// One request at a time would be an outage where nobody else serves: a trial is waived then.
func TestTrialIsWaivedWithoutOthers(t *testing.T) {
	b := NewBackends(t, "A", "B", "C")
	s := Start(t, site("backend {$A} max_requests 10\n\t\tto {$B} {$C}", quickCheck, detection("consecutive_5xx 2")), addresses(b...))
	b[0].Do(answer(http.StatusInternalServerError))
	s.askFor(b[0], 2) // and it is ejected
	s.waitLevel(b[0], "is on trial", inState("trial"))
	for _, other := range b[1:] {
		other.SetHealth(http.StatusServiceUnavailable)
		s.waitState("p", other.Addr, "down")
	}
	if l := s.level(b[0]); l.State != "up" {
		t.Errorf("the only one that serves is %s", l.State)
	}
	g := newGate()
	b[0].Do(g.ServeHTTP)
	waiters := []*waiting{s.wait("/1"), s.wait("/2"), s.wait("/3")}
	for range waiters {
		g.next(t)
	}
	for range waiters {
		g.letGo(t)
	}
	for _, w := range waiters {
		if r := w.reply(t); r.Status != http.StatusOK {
			t.Errorf("status %d", r.Status)
		}
	}
}
