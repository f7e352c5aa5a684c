package selection

import "github.com/caddylb/caddy-lb/lb"

// maxTableMembers is the number of members of a tier up to which tables of owners can be built; entries are of
// 16 bits.
const maxTableMembers = 1 << 16

// gate decides which members a hash policy may give a key to.
type gate struct {
	usable
	tier     *lb.Tier
	bound    bound
	maxSteps int // 0: no limit

	// open is set when every member with a weight may be selected and nothing bounds any of them, so that the
	// owner of a key can be returned unseen on a first try.
	open bool
}

func newGate(tier *lb.Tier, h *Hashing) gate {
	g := gate{
		usable:   usableOf(tier.Selectable),
		tier:     tier,
		bound:    newBound(h.BalanceFactor, tier.Selectable),
		maxSteps: h.MaxIterations,
	}
	weighted := 0
	for _, m := range tier.Members {
		if m.Weight > 0 {
			weighted++
		}
	}
	g.open = weighted == len(tier.Selectable) && !g.limited && !g.bound.on()
	return g
}

// wantsRoom reports whether members above their bound are to be passed over: there is a bound, and a member
// below it. When all are above it, owners keep their keys.
func (g *gate) wantsRoom(p *lb.Pick) bool {
	if !g.bound.on() {
		return false
	}
	for _, m := range g.members {
		if p.Accepts(m) && g.bound.room(m) {
			return true
		}
	}
	return false
}

// offer is one search for a member: it is shown members in the order of the key and takes the first that
// will do.
type offer struct {
	gate  *gate
	pick  *lb.Pick
	room  bool       // pass over members above their bound
	owner *lb.Member // the first member that was passed over for that alone
}

// take reports whether the i-th member of the tier will do.
func (o *offer) take(i int) bool {
	if !o.gate.tier.IsSelectable(i) {
		return false
	}
	m := o.gate.tier.Members[i]
	if !o.pick.Accepts(m) {
		return false
	}
	if !o.room || o.gate.bound.room(m) {
		return true
	}
	if o.owner == nil {
		o.owner = m
	}
	return false
}

// walk looks for a member along a cyclic table of owners, each entry an index into the tier's members, from
// the entry at. The next distinct owner that will do is the one that stands next in the table.
func (g *gate) walk(p *lb.Pick, owners []uint16, at int) *lb.Member {
	steps := len(owners)
	if g.maxSteps > 0 {
		steps = min(steps, g.maxSteps)
	} else if !g.any(p) {
		return nil
	}
	o := offer{gate: g, pick: p, room: g.wantsRoom(p)}
	for range steps {
		if i := int(owners[at]); o.take(i) {
			return g.tier.Members[i]
		}
		if at++; at == len(owners) {
			at = 0
		}
	}
	if o.owner == nil && g.maxSteps == 0 {
		return g.scan(p)
	}
	return o.owner
}

// scan returns a member that p accepts, for the case that one has no entry in the table at all: when all its
// hashes collide with those of others.
func (g *gate) scan(p *lb.Pick) *lb.Member {
	for _, m := range g.members {
		if p.Accepts(m) {
			return m
		}
	}
	return nil
}
