package lb

import "time"

// Options are how a pool copes with members that are out of service, full or new. The zero value does nothing of it: a
// tier serves only when no lower one has a member to serve, and everybody has its whole weight at once.
type Options struct {
	// Overprovisioning is the factor by which a tier's share of available members counts towards the whole load. With
	// 1.4 a tier keeps all of it until less than 1/1.4 of its members (71 %) are available; what it cannot take spills
	// to the next tier (Envoy's priority levels). 0: tiers are strict.
	Overprovisioning float64

	// PanicThreshold is the share, from 0 to 1, of members available in a tier below which all of them are used,
	// health or not, unless other tiers make up for it (Envoy's panic mode). 0: never.
	PanicThreshold float64

	// SlowStart is how long a member that is new or has recovered takes to get to its whole weight. 0: at once.
	SlowStart time.Duration

	// Aggression bends the ramp of SlowStart: 1 is a straight line, larger values rise faster at first (Envoy). 0
	// stands for 1.
	Aggression float64

	// MaxEjectionPercent bounds the share of members that outlier detection may keep out at once, see
	// [EjectionLimit].
	MaxEjectionPercent float64

	// AlwaysEjectOne lets one member be ejected where MaxEjectionPercent of the members is less than one.
	AlwaysEjectOne bool

	// Queue is where requests wait for a member's free place; nil when they do not. The pool wakes it when a
	// place may have become free.
	Queue *Queue

	// Adaptive bounds the requests that each member serves at once by what it has shown to cope with; nil: it
	// does not.
	Adaptive *Adaptive

	// Now is a monotonic clock. Default: [Monotonic].
	Now func() time.Duration
}

func (o *Options) now() time.Duration {
	if o.Now != nil {
		return o.Now()
	}
	return Monotonic()
}
