package lb

import (
	"testing"
	"time"
)

func TestRecentLatencyForgets(t *testing.T) {
	var r RecentLatency
	median := func(now time.Duration) time.Duration {
		d, _ := r.Counts(now).Quantile(0.5)
		return d
	}
	for range 1000 {
		r.Observe(time.Second)
	}
	if d := median(0); d < 900*time.Millisecond {
		t.Errorf("median %v at first", d)
	}
	// A pool that has become fast is known as that after two windows, whatever it was before.
	now := time.Duration(0)
	for ; now <= 20*time.Second; now += time.Second {
		for range 10 {
			r.Observe(time.Millisecond)
		}
		r.Counts(now)
	}
	if d := median(now); d > 2*time.Millisecond {
		t.Errorf("median %v after 20 s of fast answers", d)
	}
	if n := r.Counts(now + time.Hour).Total(); n != 0 {
		t.Errorf("%d observations are remembered after an hour", n)
	}
}

func TestRecentLatencyLooksNowAndThen(t *testing.T) {
	var r RecentLatency
	first := r.Counts(0)
	r.Observe(time.Second)
	if r.Counts(recentRefresh-1) != first {
		t.Error("looked again too early")
	}
	if c := r.Counts(recentRefresh); c == first || c.Total() != 1 {
		t.Error("did not look again")
	}
}
