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

	// Trial is the backend's trial while it is half open: back for one request at a time until one succeeds. Else nil.
	Trial() Trial
}

// Trial is one trial of a backend. What is given back to it after its end, by a request that took long, is not given
// to a later one.
type Trial interface {
	// Take takes the place of the trial's one request; false when it is taken. Each success is followed by one Return.
	Take() bool
	Return()

	// Taken reports whether that place is taken.
	Taken() bool
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
// Those that are out of rotation anyway come last: they matter only to clients that belong to them.
func honourEjections(members []*Member, o *Options) {
	var out []ejected
	var trials []halfOpen
	serving := 0 // members that could serve, and are not on trial
	for _, m := range members {
		m.ejected, m.trial = false, nil
		serves := m.Selectable()
		if m.Ejection != nil {
			if since, is := m.Ejection.Ejected(); is {
				out = append(out, ejected{m, since, serves})
			} else if trial := m.Ejection.Trial(); serves && trial != nil {
				trials = append(trials, halfOpen{m, trial})
				continue
			}
		}
		serving += count(serves)
	}
	left := EjectionLimit(len(members), o.MaxEjectionPercent, o.AlwaysEjectOne)
	if serving > 0 { // or one request at a time would be an outage
		for _, t := range trials[:min(left, len(trials))] {
			t.Member.trial = t.trial
			left--
		}
	}
	slices.SortStableFunc(out, func(a, b ejected) int {
		return cmp.Or(count(b.inRotation())-count(a.inRotation()), cmp.Compare(a.since, b.since))
	})
	for _, e := range out {
		if left == 0 {
			break
		}
		if e.serves && serving <= 1 {
			continue
		}
		e.Member.ejected = true
		left--
		serving -= count(e.serves)
	}
}

// ejected is a member whose backend outlier detection wants out.
type ejected struct {
	*Member
	since  time.Duration
	serves bool // but for that
}

// halfOpen is a member whose backend is on trial.
type halfOpen struct {
	*Member
	trial Trial
}

func count(b bool) int {
	if b {
		return 1
	}
	return 0
}
