package outlier

import (
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// TestMain also looks for goroutines that outlived their detector.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fixture is a detector over hosts, on the clock of the time package, which a synctest bubble sets.
type fixture struct {
	t     testing.TB
	now   func() time.Duration
	hosts []*Host
	*Detector

	mu     sync.Mutex
	events []Event
}

func newFixture(t testing.TB, n int, c Config) *fixture {
	start := time.Now()
	f := &fixture{t: t, now: func() time.Duration { return time.Since(start) }}
	f.Detector = New(c, func(_ *Host, e Event) {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.events = append(f.events, e)
	})
	for range n {
		h := NewHost(f.now)
		f.hosts = append(f.hosts, h)
		f.Add(h)
	}
	t.Cleanup(func() {
		f.Stop()
		for _, h := range f.hosts {
			h.Close()
		}
	})
	return f
}

// observe observes n outcomes of requests that began now.
func (f *fixture) observe(h, n int, k Kind) { f.observeIn(f.Detector, h, n, k) }

func (f *fixture) observeIn(d *Detector, h, n int, k Kind) {
	for range n {
		d.Observe(f.hosts[h], Outcome{Kind: k, Latency: 10 * time.Millisecond, Began: f.now()})
	}
}

// answers observes n successes of a latency.
func (f *fixture) answers(h, n int, latency time.Duration) {
	for range n {
		f.Observe(f.hosts[h], Outcome{Kind: Success, Latency: latency, Began: f.now()})
	}
}

// phase checks where hosts stand.
func (f *fixture) phase(want Phase, hosts ...int) {
	f.t.Helper()
	for _, i := range hosts {
		if got := f.hosts[i].Status().Phase; got != want {
			f.t.Errorf("at %v host %d is %v, want %v", f.now(), i, got, want)
		}
		_, out := f.hosts[i].Ejected()
		if out != (want == Out) || f.hosts[i].OnTrial() != (want == Trial) {
			f.t.Errorf("at %v host %d: out %v, on trial %v, but %v", f.now(), i, out, f.hosts[i].OnTrial(), want)
		}
	}
}

// take returns the events since it was last called.
func (f *fixture) take() []Event {
	f.mu.Lock()
	defer f.mu.Unlock()
	events := f.events
	f.events = nil
	return events
}

// one returns the one event since take was last called.
func (f *fixture) one() Event {
	f.t.Helper()
	events := f.take()
	if len(events) != 1 {
		f.t.Fatalf("%d events, want one: %+v", len(events), events)
	}
	return events[0]
}

// oneOf is a configuration that lets one host of any number be out.
var oneOf = Config{AlwaysEjectOne: true}
