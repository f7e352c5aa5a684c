package lb_test

import (
	"sync"
	"testing"
	"time"

	"github.com/caddylb/caddy-lb/lb"
)

func TestLatencyHasNoHistoryAtFirst(t *testing.T) {
	var l lb.Latency
	if d, ok := l.Read(time.Second); ok {
		t.Errorf("a new average reads %v, want no history", d)
	}
}

func TestLatencyJumpsUpAndComesDownSlowly(t *testing.T) {
	var l lb.Latency
	near := func(now time.Duration, want time.Duration) {
		t.Helper()
		got, ok := l.Read(now)
		if !ok || got < want*99/100 || got > want*101/100 {
			t.Errorf("at %v: average %v (%v), want %v", now, got, ok, want)
		}
	}
	l.Observe(10*time.Millisecond, time.Second)
	near(time.Second, 10*time.Millisecond)
	l.Observe(500*time.Millisecond, time.Second)
	near(time.Second, 500*time.Millisecond)

	// A fast answer at the same instant has no weight yet; 10 s later it has 1 - 1/e.
	l.Observe(10*time.Millisecond, time.Second)
	near(time.Second, 500*time.Millisecond)
	l.Observe(10*time.Millisecond, 11*time.Second)
	near(11*time.Second, 190260*time.Microsecond)

	// Silence lets it decay as well.
	near(21*time.Second, 69990*time.Microsecond)
}

// Observations come from many goroutines, whose clock readings may overtake each other.
func TestLatencyReadingsOutOfOrder(t *testing.T) {
	var l lb.Latency
	l.Observe(100*time.Millisecond, 10*time.Second)
	l.Observe(50*time.Millisecond, 9*time.Second)
	got, _ := l.Read(8 * time.Second)
	if got > 101*time.Millisecond || got < 99*time.Millisecond {
		t.Errorf("average %v after an observation from the past, want 100ms", got)
	}
}

func TestLatencyIsRaceFree(t *testing.T) {
	var l lb.Latency
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for n := range 1000 {
				l.Observe(time.Duration(i+1)*time.Millisecond, time.Duration(n)*time.Millisecond)
				l.Read(time.Duration(n) * time.Millisecond)
			}
		})
	}
	wg.Wait()
	if got, _ := l.Read(time.Second); got <= 0 || got > 8*time.Millisecond {
		t.Errorf("average %v of observations from 1 to 8 ms", got)
	}
}

func TestLatencyDoesNotAllocate(t *testing.T) {
	var l lb.Latency
	if n := testing.AllocsPerRun(100, func() { l.Observe(time.Millisecond, time.Second); l.Read(time.Second) }); n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}

func TestLatencyOfAnswersGivenUp(t *testing.T) {
	var l lb.Latency
	l.AtLeast(5*time.Millisecond, 0)
	if got, ok := l.Read(0); !ok || got != 5*time.Millisecond {
		t.Errorf("average %v after an answer that took more than 5 ms", got)
	}
	l.Observe(200*time.Millisecond, 0)
	now := time.Duration(0)
	for ; now < time.Minute; now += 500 * time.Millisecond {
		l.AtLeast(20*time.Millisecond, now)
	}
	if got, _ := l.Read(now); got < 180*time.Millisecond {
		t.Errorf("average %v while answers are given up before they come", got)
	}
	l.AtLeast(20*time.Millisecond, now+time.Minute) // the first news for a minute
	if got, _ := l.Read(now + time.Minute); got > 21*time.Millisecond {
		t.Errorf("average %v after a minute of silence", got)
	}
}
