package selection

import (
	"math"

	"github.com/cespare/xxhash/v2"

	"github.com/caddylb/caddy-lb/lb"
)

// hrw picks by highest random weight (D. Thaler, C. Ravishankar, "Using name-based mappings to increase hit
// rates", 1998): each member has a pseudo-random number for each key, and the best one has the key. With
// unequal weights a number u within 0 and 1 becomes -ln(u) / weight, an exponential variable of which the
// smallest wins with a probability exactly proportional to weight.
//
// When a member goes, its keys alone move, each to the member ranked next for it, in proportion to weight.
type hrw struct {
	gate
	seeds []uint64  // of all members of the tier
	mine  []uint64  // of the members that may be selected
	scale []float64 // their weights; nil when all are equal
}

func newHRW(tier *lb.Tier, prev lb.Picker, h *Hashing) *hrw {
	p := &hrw{gate: newGate(tier, h)}
	if old, ok := prev.(*hrw); ok && old.tier.Generation == tier.Generation {
		p.seeds = old.seeds
	} else {
		p.seeds = make([]uint64, len(tier.Members))
		for i, m := range tier.Members {
			p.seeds[i] = xxhash.Sum64String(m.Address().ID())
		}
	}
	p.mine = make([]uint64, len(p.members))
	unequal := false
	for i, m := range p.members {
		p.mine[i] = p.seeds[m.Index()]
		unequal = unequal || m.Weight != p.members[0].Weight
	}
	if unequal {
		p.scale = make([]float64, len(p.members))
		for i, m := range p.members {
			p.scale[i] = float64(m.Weight)
		}
	}
	return p
}

// Pick implements [lb.Picker].
func (h *hrw) Pick(p *lb.Pick) *lb.Member {
	if len(h.members) == 0 {
		return nil
	}
	key := xxhash.Sum64String(p.Key)
	switch {
	case h.maxSteps > 0:
		return h.ranked(p, key)
	case h.all(p) && !h.bound.on() && h.scale == nil:
		return h.members[h.highest(key)]
	default:
		return h.best(p, key)
	}
}

// highest is the index of the best member where weights are equal and nothing is in the way.
func (h *hrw) highest(key uint64) int {
	best, index := uint64(0), 0
	for i, seed := range h.mine {
		if n := mix(key^seed) >> 11; n > best {
			best, index = n, i
		}
	}
	return index
}

// best returns the best member that p accepts and whose bound is not reached, or the best when all are above
// their bounds.
func (h *hrw) best(p *lb.Pick, key uint64) *lb.Member {
	var owner, roomy *lb.Member
	ownerCost, roomyCost := math.Inf(1), math.Inf(1)
	toBeat := math.Inf(1)
	all, bounded := h.all(p), h.bound.on()
	for i, seed := range h.mine {
		weight := 1.0
		if h.scale != nil {
			weight = h.scale[i]
		}
		// -ln(u) is at least 1-u, which settles most members without a logarithm.
		u := unit(key, seed)
		if 1-u > toBeat*weight {
			continue
		}
		m := h.members[i]
		if !all && !p.Accepts(m) {
			continue
		}
		cost := -math.Log(u) / weight
		if cost < ownerCost {
			owner, ownerCost = m, cost
		}
		if bounded && cost < roomyCost && h.bound.room(m) {
			roomy, roomyCost = m, cost
		}
		if toBeat = ownerCost; bounded {
			toBeat = roomyCost
		}
	}
	if roomy != nil {
		return roomy
	}
	return owner
}

// ranked walks the members of the tier by rank, unavailable ones included, and looks at maxSteps of them.
func (h *hrw) ranked(p *lb.Pick, key uint64) *lb.Member {
	o := offer{gate: &h.gate, pick: p, room: h.wantsRoom(p)}
	last, lastCost := -1, math.Inf(-1)
	for range h.maxSteps {
		next, nextCost := -1, math.Inf(1)
		for i, m := range h.tier.Members {
			if m.Weight == 0 {
				continue
			}
			cost := -math.Log(unit(key, h.seeds[i])) / float64(m.Weight)
			after := cost > lastCost || cost == lastCost && i > last
			if after && cost < nextCost {
				next, nextCost = i, cost
			}
		}
		if next < 0 {
			break
		}
		if o.take(next) {
			return h.tier.Members[next]
		}
		last, lastCost = next, nextCost
	}
	return o.owner
}

// unit is the number within 0 and 1 that the member of this seed has for key.
func unit(key, seed uint64) float64 { return (float64(mix(key^seed)>>11) + 0.5) / (1 << 53) }

// Interface guard.
var _ lb.Picker = (*hrw)(nil)
