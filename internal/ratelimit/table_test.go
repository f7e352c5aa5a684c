package ratelimit

import (
	"fmt"
	"math"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddylb/caddy-lb/lb"
)

var perHour = lb.Limit{Events: 10, Window: time.Hour, Burst: 10}

// limiters are those that forget keys when there are too many, with the bytes for each key that their documentation tells.
var limiters = map[string]struct {
	make  func(keys int) Limiter
	bytes int
}{
	"bucket": {func(keys int) Limiter { return NewBucket(perHour, keys) }, 21},
	"window": {func(keys int) Limiter { return NewWindow(perHour, keys) }, 32},
	"sketch": {func(keys int) Limiter { return NewSketch(perHour, keys) }, 9},
}

// heap is the live bytes of the heap.
func heap() int {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}

// TestMemoryIsBounded asks for five million keys at once where there is room for a million.
func TestMemoryIsBounded(t *testing.T) {
	const keys = 1_000_000
	for name, of := range limiters {
		asked := 2_000_000
		if name == "bucket" {
			asked = 5_000_000
		}
		before := heap()
		l := of.make(keys)
		buf := make([]byte, 0, 32)
		for i := range asked {
			buf = strconv.AppendInt(append(buf[:0], "client "...), int64(i), 10)
			if !l.Take(string(buf), time.Second).Allowed && name != "sketch" {
				t.Fatalf("%s: the first request of key %d is refused", name, i)
			}
		}
		used := heap() - before
		t.Logf("%s: %d bytes, %.1f for each of %d keys; %d evicted", name, used, float64(used)/keys, keys, l.Evicted())
		if most := keys*of.bytes + 128<<10; used > most {
			t.Errorf("%s: %d bytes, want at most %d", name, used, most)
		}
		runtime.KeepAlive(l)
	}
}

// TestNoKeyIsForgottenBelowTheBound fills the tables with as many keys as they are for.
func TestNoKeyIsForgottenBelowTheBound(t *testing.T) {
	for _, keys := range []int{1, 10, 1000, 100_000, 1_000_000} {
		for name, of := range limiters {
			if keys == 1_000_000 && name != "bucket" {
				continue // the same table
			}
			l := of.make(keys)
			for i := range keys {
				l.Take(strconv.Itoa(i), time.Second)
			}
			if n := l.Evicted(); n > uint64(keys/1000) {
				t.Errorf("%s: %d of %d keys were forgotten", name, n, keys)
			}
		}
	}
}

// TestFloodPushesOutWhatWasHardlyUsed: who has used up a limit stays refused while ten times more new keys come than there is room for.
func TestFloodPushesOutWhatWasHardlyUsed(t *testing.T) {
	const keys = 10_000
	for _, name := range []string{"bucket", "window"} {
		l := limiters[name].make(keys)
		for c := range 100 {
			for range perHour.Events {
				l.Take(fmt.Sprint("greedy ", c), time.Second)
			}
		}
		for i := range 10 * keys {
			l.Take(strconv.Itoa(i), time.Second)
		}
		for c := range 100 {
			if l.Take(fmt.Sprint("greedy ", c), time.Second).Allowed {
				t.Errorf("%s: client %d was forgotten", name, c)
			}
		}
	}
}

// TestPlacesAreUsedAgain: keys whose limit is free again make room.
func TestPlacesAreUsedAgain(t *testing.T) {
	const keys = 10_000
	for _, name := range []string{"bucket", "window"} {
		l := limiters[name].make(keys)
		for round := range 20 {
			now := time.Duration(round) * 3 * time.Hour
			for i := range keys {
				l.Take(fmt.Sprint(round, " ", i), now)
			}
		}
		if n := l.Evicted(); n > keys/100 {
			t.Errorf("%s: %d keys were forgotten although others were free", name, n)
		}
	}
}

// TestOneLimitForAllGoroutines: many at once get exactly what the limit has.
func TestOneLimitForAllGoroutines(t *testing.T) {
	for name, of := range limiters {
		l := of.make(1000)
		var allowed [10]atomic.Int64
		var wg sync.WaitGroup
		for g := range 8 {
			wg.Go(func() {
				for i := range 2000 {
					key := (g + i) % len(allowed)
					if l.Take(strconv.Itoa(key), time.Second).Allowed {
						allowed[key].Add(1)
					}
					l.Evicted()
				}
			})
		}
		wg.Wait()
		for key := range allowed {
			if n := allowed[key].Load(); n != perHour.Events {
				t.Errorf("%s: key %d got %d of %d", name, key, n, perHour.Events)
			}
		}
	}
}

// TestSketchIsNeverTooLowAndSeldomTooHigh has 100,000 keys use a tenth of their limits, and looks what a sketch of 65,536 counters a row tells.
func TestSketchIsNeverTooLowAndSeldomTooHigh(t *testing.T) {
	const keys, each = 100_000, 10
	limit := lb.Limit{Events: 1000, Window: time.Hour, Sliding: true}
	s := NewSketch(limit, 4*65_536)
	for range each {
		for i := range keys {
			s.Take(strconv.Itoa(i), time.Second)
		}
	}
	bound := int64(math.Floor(math.E * keys * each / 65_536)) // N*e/w
	over := 0
	for i := range keys {
		excess := (limit.Events - each - 1) - s.Take(strconv.Itoa(i), time.Second).Remaining
		if excess < 0 {
			t.Fatalf("key %d has %d more left than it may", i, -excess)
		}
		if excess > bound {
			over++
		}
	}
	t.Logf("%d of %d keys are more than %d too high", over, keys, bound)
	if share := float64(over) / keys; share > 0.018 {
		t.Errorf("%.1f %% of the keys are more than %d too high", 100*share, bound)
	}
}

func TestValid(t *testing.T) {
	for _, limit := range []lb.Limit{
		{Events: 1, Window: time.Millisecond - 1, Burst: 1},
		{Events: 0, Window: time.Second, Burst: 1},
		{Events: -1, Window: time.Second, Burst: 1},
		{Events: 1, Burst: 1},
		{Events: 1, Window: -time.Second, Burst: 1},
		{Events: 1, Window: time.Second},
		{Events: 1, Window: time.Second, Burst: -1},
		{Events: 10_000_001, Window: time.Second, Burst: 1},
		{Events: maxCount + 1, Window: maxWindow, Burst: 1},
		{Events: 1, Window: maxWindow + 1, Sliding: true},
		{Events: 1, Window: maxWindow, Burst: 2},
		{Events: 1, Window: time.Hour, Burst: maxCount},
	} {
		if Valid(limit) == nil {
			t.Errorf("%+v is taken to be valid", limit)
		}
	}
	for _, limit := range []lb.Limit{
		{Events: 10_000_000, Window: time.Second, Burst: maxCount},
		{Events: 1, Window: maxWindow, Burst: 1},
		{Events: 1, Window: time.Second, Sliding: true},
		{Events: 10_000, Window: time.Millisecond, Sliding: true},
	} {
		if err := Valid(limit); err != nil {
			t.Errorf("%+v: %v", limit, err)
		}
	}
}

func BenchmarkTake(b *testing.B) {
	const keys = 1_000_000
	names := make([]string, keys)
	for i := range names {
		names[i] = fmt.Sprintf("10.%d.%d.%d", i>>16, i>>8&255, i&255)
	}
	for name, of := range limiters {
		b.Run(name, func(b *testing.B) {
			l := of.make(keys)
			for _, key := range names {
				l.Take(key, time.Second)
			}
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				l.Take(names[i*7919%keys], time.Second)
				i++
			}
		})
	}
}
