package lb

import (
	"cmp"
	"math"
	"slices"
	"time"
)

// Ejection is a backend's standing with outlier detection: in, out, or on trial. Implementations are safe for
// concurrent use; whoever owns one calls [Pool.Refresh] when its answers change.
type Ejection interface {
	// Ejected reports whether the backend is out, and since when on the clock of [Monotonic].
	Ejected() (since time.Duration, out bool)

	// OnTrial reports whether the backend is half open: back for one request at a time until one succeeds.
	OnTrial() bool

	// TakeTrial takes the place of the trial's one request; false when it is taken. Each success is followed by
	// one ReturnTrial.
	TakeTrial() bool
	ReturnTrial()

	// TrialTaken reports whether that place is taken.
	TrialTaken() bool
}

// EjectionLimit is how many of n backends may be ejected at once: percent of them, rounded down, or with atLeastOne
// one where that is none; never all of them.
func EjectionLimit(n int, percent float64, atLeastOne bool) int {
	limit := int(math.Floor(float64(n)*percent/100 + 1e-9))
	if atLeastOne {
		limit = max(limit, 1)
	}
	return max(0, min(limit, n-1))
}

// honourEjections decides which ejections hold in a pool: the oldest first, as many as the limit allows, and never the last
// member that could serve. A backend may be shared with pools for which its ejection would be one too many, and a
// pool may shrink, so that outlier detection alone cannot know. Members on trial count, as they are not back yet.
func honourEjections(members []*Member, o *Options) {
	var out []*Member
	serving, trials := 0, 0
	for _, m := range members {
		if m.Ejection == nil || !m.inRotation() {
			serving += count(m.Selectable())
			continue
		}
		if _, ejected := m.Ejection.Ejected(); ejected {
			out = append(out, m)
			serving += count(m.Selectable())
			continue
		}
		if m.Selectable() {
			serving++
			if m.Ejection.OnTrial() {
				m.trial = m.Ejection
				trials++
			}
		}
	}
	if serving == trials {
		// Nobody else is there: one request at a time would be an outage.
		for _, m := range members {
			m.trial = nil
		}
	}
	slices.SortStableFunc(out, func(a, b *Member) int {
		x, _ := a.Ejection.Ejected()
		y, _ := b.Ejection.Ejected()
		return cmp.Compare(x, y)
	})
	left := EjectionLimit(len(members), o.MaxEjectionPercent, o.AlwaysEjectOne) - trials
	for _, m := range out {
		serves := m.Selectable()
		if left <= 0 || serves && serving <= 1 {
			continue
		}
		m.ejected = true
		left--
		serving -= count(serves)
	}
}

func count(b bool) int {
	if b {
		return 1
	}
	return 0
}
