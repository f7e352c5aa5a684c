package lb

import (
	"math"
	"sync/atomic"
	"time"
)

// Adaptive configures limits of concurrent requests that backends find by themselves, by the gradient of latency over
// concurrency, as Envoy's gradient controller does. While answers come about as fast as from a backend with little to
// do, the limit grows by the square root of itself; when they become slower the backend is queueing inside, and the
// limit shrinks in proportion:
//
//	gradient = Tolerance × ideal / latency, within 0.5 and 1
//	next     = gradient × limit + √limit, of which one step goes a fifth of the way
//
// For a backend that serves K requests at once the limit settles where limit - √limit = Tolerance × K.
//
// The ideal latency is what requests take while at most a quarter of the limit is under way. Where that did not happen
// for half a minute or so, and requests press against the limit, it is brought about for a moment by a quarter of the
// limit. An average over the long run in its place, as in Netflix's "Gradient2", takes a lasting overload for the normal
// state and lets the limit grow for as long as that lasts.
//
// Requests count until they have ended. Many that last, such as WebSockets, fill a limit that was found for others, and
// say nothing for as long as they last: a pool for these is better without. Fields of 0 have their default.
type Adaptive struct {
	// Initial is the limit of a backend of which nothing is known. Default: 20.
	Initial int

	// Min and Max bound the limit. Defaults: 2 and 1000.
	Min, Max int

	// Tolerance is how many times slower than ideal answers may be before the limit shrinks. Default: 1.5.
	Tolerance float64

	// Window is how long requests are looked at for one step. Default: 100ms, and at least 10 requests.
	Window time.Duration

	// Now is the clock that requests are observed on. Default: [Monotonic].
	Now func() time.Duration
}

// Defaults of [Adaptive].
const (
	adaptiveInitial   = 20
	adaptiveMin       = 2
	adaptiveMax       = 1000
	adaptiveTolerance = 1.5
	adaptiveWindow    = 100 * time.Millisecond

	adaptiveSamples   = 10   // in a window, at least
	adaptiveSmoothing = 0.2  // how far one step goes
	adaptiveDrops     = 0.1  // part of the requests that timed out from which on the backend counts as overloaded
	adaptiveDrop      = 0.9  // what is then left of the limit
	adaptivePressed   = 0.9  // part of the limit from which on requests press against it
	adaptiveQuiet     = 0.25 // part of the limit up to which a backend has little to do

	probeEvery    = 30 * time.Second // after some probes
	probeFirst    = 2 * time.Second  // after the first, which began from a guess, and twice that after the second
	probeRatio    = 20               // at least so many times what the probe took, as it costs throughput
	probeJitter   = 0.5              // so that the backends of a pool are not probed at once
	probeSamples  = 50               // requests of a probe (Envoy's request_count)
	probePressed  = 3                // windows in a row in which requests pressed against the limit, before a probe
	probePatience = 3                // windows and latencies for the backend to become quiet
	probeBackoff  = 5                // how often the time between probes doubles at most when backends do not become quiet
	idealWeight   = 25               // requests that the ideal latency counts for beside those of a window
)

func (a *Adaptive) initial() int { return orDefault(a.Initial, adaptiveInitial) }
func (a *Adaptive) min() int     { return orDefault(a.Min, adaptiveMin) }
func (a *Adaptive) max() int     { return orDefault(a.Max, adaptiveMax) }

func (a *Adaptive) window() time.Duration {
	if a.Window > 0 {
		return a.Window
	}
	return adaptiveWindow
}

func (a *Adaptive) tolerance() float64 {
	if a.Tolerance > 0 {
		return a.Tolerance
	}
	return adaptiveTolerance
}

func (a *Adaptive) now() time.Duration {
	if a.Now != nil {
		return a.Now()
	}
	return Monotonic()
}

func orDefault(n, otherwise int) int {
	if n > 0 {
		return n
	}
	return otherwise
}

// within is limit between Min and Max. Max wins over a Min above it.
func (a *Adaptive) within(limit float64) float64 {
	return math.Min(math.Max(limit, float64(a.min())), float64(a.max()))
}

// quiet is how many requests may be under way on a backend that has little to do.
func (a *Adaptive) quiet(limit float64) float64 { return a.within(limit * adaptiveQuiet) }

// AdaptiveLimit is the limit that one backend has found. It belongs to the backend and outlives configurations. The zero
// value has seen nothing. Safe for concurrent use: requests add up with atomics, and one that finds the window over makes
// the step.
type AdaptiveLimit struct {
	limit   atomic.Uint64 // a float64; 0: the initial one
	probing atomic.Int64  // until when the quiet part of the limit holds, to see how fast the backend is then; 0: no probe

	samples atomic.Int64
	nanos   atomic.Int64
	dropped atomic.Int64
	peak    atomic.Int64 // most requests under way at once in the window
	begun   atomic.Int64 // of the window; 0 before the first
	busy    atomic.Bool  // a step is being made

	// What follows is guarded by busy.
	ideal     time.Duration // latency while there is little to do; 0: unknown
	pressed   int           // windows in a row in which requests pressed against the limit
	hurried   time.Duration // when there was more to do last
	probeAt   time.Duration // when the next probe is due, or when the present one began
	probed    int           // requests that the present probe has seen
	probes    int           // probes that were made
	fruitless int           // of these, the last in which the backend did not become quiet
}

// window is what requests have shown in the course of one.
type window struct {
	begun, now       time.Duration
	mean             time.Duration // latency; 0 if all timed out
	samples, dropped int
	peak             float64
}

// Limit is how many requests may be under way at once.
func (l *AdaptiveLimit) Limit(a *Adaptive) int {
	limit := l.value(a)
	if until := l.probing.Load(); until != 0 && a.now() < time.Duration(until) {
		limit = a.quiet(limit)
	}
	return int(a.within(limit))
}

func (l *AdaptiveLimit) value(a *Adaptive) float64 {
	if bits := l.limit.Load(); bits != 0 {
		return math.Float64frombits(bits)
	}
	return float64(a.initial())
}

// Observe adds one request that was answered after d, at now, when active requests were under way on the backend, itself
// included. dropped says that it was not answered in time; d then does not count.
func (l *AdaptiveLimit) Observe(a *Adaptive, d, now time.Duration, active int, dropped bool) {
	l.begun.CompareAndSwap(0, int64(max(now, 1)))
	for {
		peak := l.peak.Load()
		if int64(active) <= peak || l.peak.CompareAndSwap(peak, int64(active)) {
			break
		}
	}
	if dropped {
		l.dropped.Add(1)
	} else {
		l.nanos.Add(int64(d))
		l.samples.Add(1)
	}
	enough := l.samples.Load()+l.dropped.Load() >= adaptiveSamples
	if enough && now-time.Duration(l.begun.Load()) >= a.window() && l.busy.CompareAndSwap(false, true) {
		l.step(a, l.end(now))
		l.busy.Store(false)
	}
}

// end ends the window and begins the next.
func (l *AdaptiveLimit) end(now time.Duration) window {
	w := window{
		begun: time.Duration(l.begun.Swap(int64(now))), now: now,
		samples: int(l.samples.Swap(0)), dropped: int(l.dropped.Swap(0)), peak: float64(l.peak.Swap(0)),
	}
	if nanos := l.nanos.Swap(0); w.samples > 0 {
		w.mean = time.Duration(nanos / int64(w.samples))
	}
	return w
}

// step makes of a window what follows from it.
func (l *AdaptiveLimit) step(a *Adaptive, w window) {
	limit := l.value(a)
	if l.ideal == 0 {
		l.ideal = w.mean // until there is something better
	}
	switch {
	case w.peak > a.quiet(limit):
		l.hurried = w.now
	case w.mean > 0 && w.begun-l.hurried >= w.mean: // or its requests would have begun before
		l.learn(w)
	}
	if w.peak >= adaptivePressed*math.Floor(limit) {
		l.pressed++
	} else {
		l.pressed = 0
	}
	switch {
	case l.probing.Load() != 0:
		l.endProbe(a, w)
	case l.pressed >= probePressed && w.now >= l.probeAt:
		l.probeAt, l.probed = w.now, 0
		l.goOnProbing(a, w)
	case w.peak >= limit/2: // else the backend was not asked for more, so nothing is known about more
		l.limit.Store(math.Float64bits(a.within(l.next(a, limit, w))))
	}
}

// next is the limit after a window.
func (l *AdaptiveLimit) next(a *Adaptive, limit float64, w window) float64 {
	if float64(w.dropped) >= adaptiveDrops*float64(w.samples+w.dropped) && w.dropped > 0 || w.mean == 0 {
		return limit * adaptiveDrop
	}
	gradient := math.Max(0.5, a.tolerance()*float64(l.ideal)/float64(w.mean))
	if gradient >= 1 {
		return limit + math.Sqrt(limit)
	}
	next := limit*gradient + math.Sqrt(limit)
	return limit*(1-adaptiveSmoothing) + next*adaptiveSmoothing
}

// learn takes the ideal latency from a window in which the backend had little to do.
func (l *AdaptiveLimit) learn(w window) {
	l.ideal += (w.mean - l.ideal) * time.Duration(w.samples) / time.Duration(w.samples+idealWeight)
	l.probed += w.samples
	l.fruitless = 0
	if l.probing.Load() == 0 {
		l.schedule(w.now, 0)
	}
}

// goOnProbing gives the backend time to become quiet, or to answer as many requests as for another window. Others may
// keep it from that: pools without this limit, or requests that last. Then no request may end either, so that the
// time runs out by itself.
func (l *AdaptiveLimit) goOnProbing(a *Adaptive, w window) {
	l.probing.Store(int64(w.now + probePatience*max(w.now-w.begun, w.mean+a.window())))
}

// endProbe ends the present probe when it has seen enough, or when its time is over.
func (l *AdaptiveLimit) endProbe(a *Adaptive, w window) {
	switch {
	case l.probed >= probeSamples:
	case w.now >= time.Duration(l.probing.Load()):
		l.fruitless = min(l.fruitless+1, probeBackoff)
	default:
		if l.hurried != w.now {
			l.goOnProbing(a, w)
		}
		return
	}
	l.probes++
	l.schedule(w.now, w.now-l.probeAt)
	l.probing.Store(0)
}

// schedule says when the next probe is due, after one that took so long.
func (l *AdaptiveLimit) schedule(now, took time.Duration) {
	every := min(probeEvery, probeFirst<<min(l.probes, 10))
	every = max(every, probeRatio*took) << l.fruitless
	jitter := float64(now%time.Millisecond) / float64(time.Millisecond) // as good as random
	l.probeAt = now + every + time.Duration(jitter*probeJitter*float64(every))
}
