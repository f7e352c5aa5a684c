package lb

import (
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// However requests arrive, and however many retries are asked for, those that are made stay within the share of all requests, and the minimum.
func TestBudgetHoldsForAnyArrivals(t *testing.T) {
	for seed := range uint64(200) {
		rng := rand.New(rand.NewPCG(seed, 1))
		limit := BudgetLimit{Share: rng.Float64() / 2, MinPerSecond: float64(rng.IntN(4))}
		var b Budget
		var now time.Duration
		var requests, extras float64
		for range 5000 {
			// Bursts, steady stretches, and silence.
			switch rng.IntN(20) {
			case 0:
				now += time.Duration(rng.Int64N(int64(15 * time.Second)))
			default:
				now += time.Duration(rng.Int64N(int64(20 * time.Millisecond)))
			}
			for range rng.IntN(4) {
				b.Request(now)
				requests++
			}
			for range rng.IntN(8) {
				allowed := b.Allows(limit, now)
				if took := b.Take(limit, now); took != allowed {
					t.Fatalf("seed %d: took %v where %v was said to be allowed", seed, took, allowed)
				} else if took {
					extras++
				}
			}
			if most := limit.Share*requests + limit.MinPerSecond*(now.Seconds()+1); extras > most {
				t.Fatalf("seed %d: %v extras for %v requests in %v under %+v, at most %v", seed, extras, requests, now, limit, most)
			}
		}
	}
}

// At a steady rate the budget is used up, not left: a fifth means a fifth.
func TestBudgetGivesWhatItAllows(t *testing.T) {
	var b Budget
	limit := BudgetLimit{Share: 0.2}
	requests, extras := 0, 0
	for now := time.Duration(0); now < time.Minute; now += 5 * time.Millisecond {
		b.Request(now)
		requests++
		if b.Take(limit, now) {
			extras++
		}
	}
	if share := float64(extras) / float64(requests); share > 0.2 || share < 0.19 {
		t.Errorf("%d extras for %d requests", extras, requests)
	}
}

func TestBudgetMinimum(t *testing.T) {
	var b Budget
	limit := BudgetLimit{Share: 0.2, MinPerSecond: 3}
	take := func(now time.Duration) (n int) {
		for b.Take(limit, now) {
			n++
		}
		return n
	}
	start := 1000 * time.Second
	for i, want := range []int{3, 3, 3} { // a second's worth for each second
		if n := take(start + time.Duration(i)*time.Second); n != want {
			t.Errorf("%d extras in second %d, want %d", n, i, want)
		}
	}
	if n := take(start + time.Hour); n != 30 { // ten seconds' worth, not an hour's
		t.Errorf("%d extras after an hour", n)
	}
	if _, extras := b.Recent(start + time.Hour + 10*time.Second); extras != 0 {
		t.Errorf("%d extras are remembered after ten seconds", extras)
	}
}

func TestBudgetConcurrently(t *testing.T) {
	var b Budget
	var clock atomic.Int64
	var requests, extras atomic.Int64
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 20000 {
				now := time.Duration(clock.Add(int64(100 * time.Microsecond)))
				b.Request(now)
				requests.Add(1)
				if b.Take(BudgetLimit{Share: 0.25}, now) {
					extras.Add(1)
				}
			}
		})
	}
	wg.Wait()
	if share := float64(extras.Load()) / float64(requests.Load()); share > 0.251 || share < 0.2 {
		t.Errorf("%d extras for %d requests", extras.Load(), requests.Load())
	}
}
