package lb_test

import (
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/caddylb/caddy-lb/lb"
)

func TestHistogramIsEmptyAtFirst(t *testing.T) {
	var h lb.Histogram
	c := h.Snapshot()
	if d, ok := c.Quantile(0.5); ok || c.Total() != 0 {
		t.Errorf("the median of nothing is %v, of %d", d, c.Total())
	}
}

// Any duration is read back to within 12.5 %, and those beyond the range as its ends.
func TestHistogramOfOneDuration(t *testing.T) {
	near := func(t interface{ Fatalf(string, ...any) }, observed, low, high time.Duration) {
		var h lb.Histogram
		h.Observe(observed)
		c := h.Snapshot()
		for _, q := range []float64{-1, 0, 0.5, 1, 2} {
			if got, ok := c.Quantile(q); !ok || got < low || got > high {
				t.Fatalf("quantile %v of %v reads %v (%v), want %v to %v", q, observed, got, ok, low, high)
			}
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		d := time.Duration(rapid.Int64Range(1<<10, 1<<37-1).Draw(t, "duration"))
		near(t, d, d, d+d/8+1)
	})
	near(t, -time.Second, 0, 1153)
	near(t, 0, 0, 1153)
	near(t, time.Hour, 128*time.Second, 1<<37)
	near(t, math.MaxInt64, 128*time.Second, 1<<37)
}

func TestHistogramQuantiles(t *testing.T) {
	var h lb.Histogram
	random := rand.New(rand.NewPCG(1, 2))
	all := make([]time.Duration, 10_000)
	for i := range all {
		all[i] = time.Duration(random.ExpFloat64() * float64(10*time.Millisecond))
		h.Observe(all[i])
	}
	slices.Sort(all)
	c := h.Snapshot()
	last := time.Duration(0)
	for _, q := range []float64{0.1, 0.5, 0.9, 0.95, 0.99, 0.999, 1} {
		got, _ := c.Quantile(q)
		want := all[int(math.Ceil(q*10_000))-1]
		if math.Abs(float64(got-want)) > 0.125*float64(want) {
			t.Errorf("quantile %v is %v, want %v", q, got, want)
		}
		if got < last {
			t.Errorf("quantile %v is %v, less than the one before it, %v", q, got, last)
		}
		last = got
	}
}

func TestHistogramSince(t *testing.T) {
	var h lb.Histogram
	for range 100 {
		h.Observe(time.Second)
	}
	before := h.Snapshot()
	h.Observe(time.Millisecond)
	h.Observe(time.Millisecond)
	now := h.Snapshot()
	between := now.Since(&before)
	if d, _ := between.Quantile(1); between.Total() != 2 || d > 2*time.Millisecond {
		t.Errorf("%d since then, up to %v; want 2 of a millisecond", between.Total(), d)
	}

	// Counts that wrapped around in between.
	var near, over lb.Counts
	near[40], over[40] = math.MaxUint32, 1
	if between := over.Since(&near); between.Total() != 2 {
		t.Errorf("%d from 2^32-1 to 2^32+1, want 2", between.Total())
	}
}

func TestHistogramIsRaceFreeAndDoesNotAllocate(t *testing.T) {
	var h lb.Histogram
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for n := range 1000 {
				h.Observe(time.Duration(n) * time.Microsecond)
			}
		})
	}
	wg.Wait()
	c := h.Snapshot()
	if c.Total() != 8000 {
		t.Errorf("%d counted, want 8000", c.Total())
	}
	allocations := testing.AllocsPerRun(100, func() {
		h.Observe(time.Millisecond)
		c := h.Snapshot()
		c.Quantile(0.5)
	})
	if allocations != 0 {
		t.Errorf("%v allocations, want 0", allocations)
	}
}
