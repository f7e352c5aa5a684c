package selection

import (
	"testing"
	"time"
)

// latencyBed is a pool under least_latency with a clock that the test moves.
func latencyBed(t *testing.T, servers ...string) (*bed, *time.Duration) {
	now := new(time.Duration)
	*now = time.Hour
	return newBed(t, &LeastLatency{rand: seeded(11), now: func() time.Duration { return *now }}, servers...), now
}

func TestLeastLatencyCost(t *testing.T) {
	b, now := latencyBed(t, "10.0.0.1:81 2")
	m := b.find("10.0.0.1:81")
	if got := latencyCost(m, *now); got != 0 {
		t.Errorf("idle without history: %v, want 0", got)
	}
	occupy(t, m, 1)
	if got := latencyCost(m, *now); got < 1e15 {
		t.Errorf("busy without history: %v, want above any latency", got)
	}
	m.Latency().Observe(10*time.Millisecond, *now)
	if got, want := latencyCost(m, *now), float64(10*time.Millisecond); got != want {
		t.Errorf("one request under way, weight 2: %v, want %v", got, want)
	}
	if got, least := latencyCost(m, *now+10*time.Second), float64(10*time.Millisecond)*0.36; got < least || got > least*1.04 {
		t.Errorf("after 10 s of silence: %v, want 1/e of it", got)
	}
}

func TestLeastLatencyPrefersTheFasterAndTheIdler(t *testing.T) {
	b, now := latencyBed(t, "10.0.0.1:81", "10.0.0.1:82")
	fast, slow := b.find("10.0.0.1:81"), b.find("10.0.0.1:82")
	fast.Latency().Observe(10*time.Millisecond, *now)
	slow.Latency().Observe(35*time.Millisecond, *now)
	for active := range 6 {
		want := "10.0.0.1:81" // (active + 1) × 10 ms, until that is above 35 ms
		if active > 2 {
			want = "10.0.0.1:82"
		}
		if got := b.pick(""); got != want {
			t.Errorf("%d under way on the faster: picked %s, want %s", active, got, want)
		}
		occupy(t, fast, 1)
	}
}

// TestLeastLatencyDoesNotFloodANewBackend gives it one request, and no further one before that is answered.
func TestLeastLatencyDoesNotFloodANewBackend(t *testing.T) {
	b, now := latencyBed(t, "10.0.0.1:81", "10.0.0.1:82")
	old, fresh := b.find("10.0.0.1:81"), b.find("10.0.0.1:82")
	old.Latency().Observe(50*time.Millisecond, *now)
	if got := b.pick(""); got != "10.0.0.1:82" {
		t.Fatalf("picked %s, want the new backend at once", got)
	}
	occupy(t, fresh, 1)
	for range 200 {
		if got := b.pick(""); got != "10.0.0.1:81" {
			t.Fatalf("picked %s before the new backend answered", got)
		}
		occupy(t, old, 1)
	}
	fresh.Latency().Observe(5*time.Millisecond, *now)
	if got := b.pick(""); got != "10.0.0.1:82" {
		t.Errorf("picked %s after the new backend answered fast", got)
	}
}

func TestLeastLatencyTiesByWeight(t *testing.T) {
	b, _ := latencyBed(t, "10.0.0.1:81 3", "10.0.0.1:82 1")
	near(t, "weight 3 of idle backends", b.count(draws)["10.0.0.1:81"], draws, 0.75)
}

func TestLeastLatencyComparesTwoOfMany(t *testing.T) {
	for n, whole := range map[int]bool{fullScan: true, fullScan + 1: false} {
		b, now := latencyBed(t, servers(n)...)
		members := b.pool.Snapshot().Members
		for i, m := range members {
			m.Latency().Observe(time.Duration(n-i)*time.Millisecond, *now)
		}
		best := members[n-1].Address().String()
		if got := b.count(300)[best]; (got == 300) != whole || got == 0 {
			t.Errorf("%d backends: the fastest has %d of 300", n, got)
		}
	}
}
