package lb

import (
	"math"
	"sync/atomic"
	"time"
)

// latencyDecay is the time constant of the average, as in Finagle's and linkerd2-proxy's Peak EWMA.
const latencyDecay = 10 * time.Second

// Latency is a peak-sensitive exponentially weighted moving average of the time to first byte (Finagle's
// "Peak EWMA"): a slower answer than the average moves it up at once, faster ones bring it down gradually with
// a time constant of 10 s, and so does silence.
//
// The zero value has no history. All methods are safe for concurrent use and neither lock nor allocate.
type Latency struct {
	// bits packs a float32 of nanoseconds and the time of the last observation in milliseconds of the
	// caller's clock, modulo 2^32, so that one compare-and-swap moves both. Zero means no history.
	bits atomic.Uint64
}

// Observe adds one answer that took d until its first byte. now is a reading of a monotonic clock, the same
// clock in every call.
func (l *Latency) Observe(d, now time.Duration) {
	for {
		old := l.bits.Load()
		next := float32(max(d, 1))
		if old != 0 {
			cost, at := unpack(old)
			age := elapsed(at, now)
			if cost > next {
				w := float32(math.Exp(-float64(age) / float64(latencyDecay)))
				next = cost*w + next*(1-w)
			}
		}
		if l.bits.CompareAndSwap(old, pack(next, now)) {
			return
		}
	}
}

// AtLeast takes note of an answer that was given up after d, and would have taken longer. An average above d stays as it was, as long as
// there is such news each second: nothing says that answers have become faster. One below d rises to it.
func (l *Latency) AtLeast(d, now time.Duration) {
	for {
		old := l.bits.Load()
		next := float32(max(d, 1))
		if old != 0 {
			cost, at := unpack(old)
			stale := max(0, elapsed(at, now)-time.Second)
			next = max(next, cost*float32(math.Exp(-float64(stale)/float64(latencyDecay))))
		}
		if l.bits.CompareAndSwap(old, pack(next, now)) {
			return
		}
	}
}

// Read returns the average as it stands at now: what was observed, decayed by the silence since. ok is false
// when nothing was observed yet.
func (l *Latency) Read(now time.Duration) (average time.Duration, ok bool) {
	old := l.bits.Load()
	if old == 0 {
		return 0, false
	}
	cost, at := unpack(old)
	if age := elapsed(at, now); age > 0 {
		cost *= float32(math.Exp(-float64(age) / float64(latencyDecay)))
	}
	return time.Duration(cost), true
}

// Forget begins anew, without history.
func (l *Latency) Forget() { l.bits.Store(0) }

// Last returns the average as it stood after the latest observation, without the decay of the silence since. ok is false when
// nothing was observed yet.
func (l *Latency) Last() (average time.Duration, ok bool) {
	bits := l.bits.Load()
	cost, _ := unpack(bits)
	return time.Duration(cost), bits != 0
}

func pack(cost float32, now time.Duration) uint64 {
	return uint64(math.Float32bits(cost))<<32 | uint64(uint32(now/time.Millisecond))
}

func unpack(bits uint64) (cost float32, atMillis uint32) {
	return math.Float32frombits(uint32(bits >> 32)), uint32(bits)
}

// elapsed is the time from a packed reading to now; a reading that raced ahead of now counts as no time.
func elapsed(atMillis uint32, now time.Duration) time.Duration {
	return max(0, time.Duration(int32(uint32(now/time.Millisecond)-atMillis))) * time.Millisecond
}
