package lb

import "math"

// backupTier is the priority of the tier of members that are kept for when no other can serve.
const backupTier = math.MaxInt

// standing is what the distribution of load looks at of a tier: how many members are meant to serve, how many of
// them can, and whether it is for emergencies only.
type standing struct {
	available, total int
	backup           bool
}

func (s standing) share() float64 {
	if s.total == 0 {
		return 0
	}
	return float64(s.available) / float64(s.total)
}

// distribute says which part of the load each tier gets, and which tiers are in panic: they use all their members,
// whatever their health. It is Envoy's arithmetic of priority levels, in fractions where Envoy rounds to whole percents:
//
//	health(P) = min(1, overprovisioning × available / total)
//	load(P)   = min(what the tiers before it have left, health(P) / Σ health)
//
// A tier is in panic when less than threshold of it is available and Σ health is below 1, that is, when the others
// cannot make up for it. With overprovisioning 0 tiers are strict: the first that has a member available has all. So does
// the backup tier, which counts only when nothing else is available.
func distribute(tiers []standing, overprovisioning, threshold float64) (loads []float64, panics []bool) {
	loads, panics = make([]float64, len(tiers)), make([]bool, len(tiers))
	factor := overprovisioning
	if factor == 0 {
		factor = 1
	}
	health := make([]float64, len(tiers))
	var ordinary, all float64
	for i, t := range tiers {
		health[i] = math.Min(1, factor*t.share())
		all += health[i]
		if !t.backup {
			ordinary += health[i]
		}
	}
	const whole = 1 - 1e-9 // of sums of fractions
	if threshold > 0 && all < whole {
		for i, t := range tiers {
			panics[i] = t.total > 0 && t.share() < threshold
		}
	}
	switch {
	case all == 0:
		emergency(tiers, panics, loads)
	case overprovisioning == 0 || ordinary == 0:
		for i := range tiers {
			if health[i] > 0 {
				loads[i] = 1
				break
			}
		}
	default:
		spill(tiers, health, ordinary, loads)
	}
	return loads, panics
}

// spill fills the tiers in their order. What rounding leaves is the first one's.
func spill(tiers []standing, health []float64, ordinary float64, loads []float64) {
	left := 1.0
	for i, t := range tiers {
		if t.backup {
			continue
		}
		loads[i] = math.Min(left, health[i]/math.Min(1, ordinary))
		left -= loads[i]
	}
	for i := range loads {
		if loads[i] > 0 {
			loads[i] += left
			return
		}
	}
}

// emergency spreads the load over tiers of which none has anybody available, by the number of their members (Envoy's
// total panic). Without panic nobody can serve, and there is no load.
func emergency(tiers []standing, panics []bool, loads []float64) {
	total := 0
	for i, t := range tiers {
		if panics[i] {
			total += t.total
		}
	}
	for i, t := range tiers {
		if panics[i] {
			loads[i] = float64(t.total) / float64(total)
		}
	}
}
