package outlier

import (
	"testing"
	"time"
)

func TestObserveDoesNotAllocate(t *testing.T) {
	f := newFixture(t, 10, Config{})
	for _, k := range []Kind{Success, ServerError, Ignored} {
		o := Outcome{Kind: k, Latency: time.Millisecond}
		if n := testing.AllocsPerRun(4, func() { f.Observe(f.hosts[0], o); f.hosts[0].streaks.clear() }); n != 0 {
			t.Errorf("%v allocations for kind %d, want 0", n, k)
		}
	}
}

// The way of almost every request, all to one host.
func BenchmarkObserveSuccess(b *testing.B) {
	f := newFixture(b, 10, Config{})
	o := Outcome{Kind: Success, Latency: time.Millisecond}
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			f.Observe(f.hosts[0], o)
		}
	})
}

// A pool whose hosts fail all the time: every fifth failure asks for an ejection that may not be.
func BenchmarkObserveOverflow(b *testing.B) {
	f := newFixture(b, 100, Config{MaxEjectionPercent: -1})
	f.notify = func(*Host, Event) {}
	o := Outcome{Kind: ServerError}
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for i := 0; pb.Next(); i++ {
			f.Observe(f.hosts[i%100], o)
		}
	})
}
