package lb

import (
	"math"
	"time"
)

const (
	// rampScale is what weights are multiplied by while a member of the tier ramps up, so that a part of a small weight
	// is a whole number. Steps of 1 % are finer than what anybody can see in the traffic.
	rampScale = 100

	// rampFloor is the least part of its weight that a member starts with, as in Envoy.
	rampFloor = 0.1

	// rampSteps is how often a snapshot is made anew in the course of a ramp.
	rampSteps = 100

	// minRampStep and maxRampStep bound the time between two of them.
	minRampStep = 50 * time.Millisecond
	maxRampStep = time.Second
)

// rampFactor is the part of its weight that a member has at this age, by Envoy's formula:
// max(0.1, (max(age, 1s) / window)^(1 / aggression)).
func rampFactor(age, window time.Duration, aggression float64) float64 {
	if window <= 0 || age >= window {
		return 1
	}
	if aggression <= 0 {
		aggression = 1
	}
	part := math.Min(1, float64(max(age, time.Second))/float64(window))
	return math.Max(rampFloor, math.Pow(part, 1/aggression))
}

// warming reports how far the member is with its slow start at now: the part of its weight that it has; 1 when it has
// all of it.
func (m *Member) warming(now time.Duration, o *Options) float64 {
	since := time.Duration(m.inSince.Load())
	if m.enters {
		since = max(now, 1)
	}
	if since == 0 || o.SlowStart <= 0 {
		return 1
	}
	return rampFactor(now-since, o.SlowStart, o.Aggression)
}

// noteEntries finds the members that came into service since prev was published, which begins their slow start: new
// ones, if the pool had others before them, and those that could not serve at prev. A pool that is new as a whole has
// nothing to ramp.
func noteEntries(prev *Snapshot, members []*Member) {
	known := make(map[*Backend]bool, len(prev.Members))
	for _, m := range prev.Members {
		known[m.Backend] = m.settled
	}
	others := len(prev.Members) > 0
	for _, m := range members {
		others = others || m.established.Load()
	}
	for _, m := range members {
		m.wasSelectable = m.Selectable()
		m.settled = m.wasSelectable && m.trial == nil // a trial is not the return yet
		before, had := known[m.Backend]
		m.enters = m.settled && (had && !before || !had && others && !m.established.Load())
	}
}

// admit notes on the backends what noteEntries found, once the members are published.
func admit(members []*Member, now time.Duration) {
	for _, m := range members {
		m.established.Store(true)
		if m.enters {
			m.latency.Forget() // how it was before it went says nothing of how it is
			m.inSince.Store(int64(max(now, 1)))
		}
	}
}

// applyRamps sets the shares of a tier's members and reports whether one of them is still ramping up.
func applyRamps(members []*Member, o *Options, now time.Duration) (ramping bool) {
	factors := make([]float64, len(members))
	for i, m := range members {
		factors[i] = m.warming(now, o)
		ramping = ramping || factors[i] < 1
	}
	for i, m := range members {
		m.weightNow = uint64(m.Weight)
		if ramping && m.Weight > 0 {
			m.weightNow = max(1, uint64(math.Round(float64(m.Weight)*rampScale*factors[i])))
		}
	}
	return ramping
}

// rampStep is the time between two snapshots in the course of a ramp.
func (o *Options) rampStep() time.Duration {
	return min(max(o.SlowStart/rampSteps, minRampStep), maxRampStep)
}
