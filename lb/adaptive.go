package lb

import (
	"math"
	"sync/atomic"
	"time"
)

// Adaptive configures limits of concurrent requests that backends find by themselves: the gradient of latency over
// concurrency, as in Netflix's concurrency-limits ("Gradient2"). While answers come as fast as they do in the long run,
// the limit grows by the square root of itself; when they become slower the backend is queueing inside, and the limit
// shrinks in proportion. Fields of 0 have their default.
type Adaptive struct {
	// Initial is the limit of a backend of which nothing is known. Default: 20.
	Initial int

	// Min and Max bound the limit. Defaults: 2 and 1000.
	Min, Max int

	// Tolerance is how many times slower than in the long run answers may be before the limit shrinks. Default: 1.5.
	Tolerance float64

	// Window is how long requests are looked at for one step. Default: 100ms, and at least 10 requests.
	Window time.Duration
}

// Defaults of [Adaptive].
const (
	adaptiveInitial   = 20
	adaptiveMin       = 2
	adaptiveMax       = 1000
	adaptiveTolerance = 1.5
	adaptiveWindow    = 100 * time.Millisecond

	adaptiveSamples   = 10  // in a window, at least
	adaptiveSmoothing = 0.2 // how far one step goes
	adaptiveLongSteps = 600 // steps that the long run is averaged over
	adaptiveDrop      = 0.9 // what is left of the limit after a window with requests that timed out
)

func (a *Adaptive) initial() int { return orDefault(a.Initial, adaptiveInitial) }
func (a *Adaptive) min() int     { return orDefault(a.Min, adaptiveMin) }
func (a *Adaptive) max() int     { return orDefault(a.Max, adaptiveMax) }

func orDefault(n, otherwise int) int {
	if n > 0 {
		return n
	}
	return otherwise
}

// AdaptiveLimit is the limit that one backend has found. It belongs to the backend and outlives configurations. The zero
// value has seen nothing. Safe for concurrent use: requests add up with atomics, and one that finds the window over makes
// the step.
type AdaptiveLimit struct {
	limit atomic.Uint64 // a float64; 0: the initial one

	samples atomic.Int64
	nanos   atomic.Int64
	peak    atomic.Int64 // most requests under way at once in the window
	dropped atomic.Bool
	begun   atomic.Int64 // of the window; 0 before the first
	busy    atomic.Bool  // a step is being made
	long    float64      // nanoseconds in the long run; guarded by busy
}

// Limit is how many requests may be under way at once.
func (l *AdaptiveLimit) Limit(a *Adaptive) int {
	n := a.initial()
	if bits := l.limit.Load(); bits != 0 {
		n = int(math.Float64frombits(bits))
	}
	return min(max(n, a.min()), a.max())
}

// Observe adds one request that was answered after d, at now, when active requests were under way on the backend, itself
// included. dropped says that it was not answered in time; d then does not count.
func (l *AdaptiveLimit) Observe(a *Adaptive, d, now time.Duration, active int, dropped bool) {
	l.begun.CompareAndSwap(0, int64(max(now, 1)))
	if dropped {
		l.dropped.Store(true)
	} else {
		l.nanos.Add(int64(d))
		l.samples.Add(1)
	}
	for {
		peak := l.peak.Load()
		if int64(active) <= peak || l.peak.CompareAndSwap(peak, int64(active)) {
			break
		}
	}
	window := a.Window
	if window <= 0 {
		window = adaptiveWindow
	}
	enough := l.samples.Load() >= adaptiveSamples || l.dropped.Load()
	if enough && now-time.Duration(l.begun.Load()) >= window && l.busy.CompareAndSwap(false, true) {
		l.step(a, now)
		l.busy.Store(false)
	}
}

// step ends the window.
func (l *AdaptiveLimit) step(a *Adaptive, now time.Duration) {
	samples, nanos, peak := l.samples.Swap(0), l.nanos.Swap(0), l.peak.Swap(0)
	dropped := l.dropped.Swap(false)
	l.begun.Store(int64(now))

	limit := float64(a.initial())
	if bits := l.limit.Load(); bits != 0 {
		limit = math.Float64frombits(bits)
	}
	switch {
	case dropped:
		limit *= adaptiveDrop
	case samples > 0:
		limit = l.gradient(a, limit, float64(nanos)/float64(samples), float64(peak))
	}
	limit = math.Min(math.Max(limit, float64(a.min())), float64(a.max()))
	l.limit.Store(math.Float64bits(limit))
}

// gradient is the limit after a window in which answers took short nanoseconds on average.
func (l *AdaptiveLimit) gradient(a *Adaptive, limit, short, peak float64) float64 {
	switch {
	case l.long == 0:
		l.long = short
	case l.long > 2*short:
		// It has become much faster than it was, as after an overload: the past is forgotten sooner.
		l.long *= 0.95
	default:
		l.long += (short - l.long) * 2 / (adaptiveLongSteps + 1)
	}
	if peak < limit/2 {
		return limit // the backend was not asked for more, so nothing is known about more
	}
	tolerance := a.Tolerance
	if tolerance <= 0 {
		tolerance = adaptiveTolerance
	}
	gradient := math.Max(0.5, math.Min(1, tolerance*l.long/short))
	next := limit*gradient + math.Sqrt(limit)
	return limit*(1-adaptiveSmoothing) + next*adaptiveSmoothing
}
