package selection

import (
	"sync/atomic"

	"github.com/caddylb/caddy-lb/lb"
)

// maxRotationWalk bounds how far a pick goes along the rotation for a member that it accepts before it looks
// through the members themselves.
const maxRotationWalk = 256

// firstTick is where a rotation begins: reverse_proxy's round robin counts before it picks, so that the second
// backend comes first.
const firstTick = 1

// ticker is the counter of a rotation, alone in its cache line, for every request writes it.
type ticker struct {
	_ [64]byte
	n atomic.Uint64
	_ [56]byte
}

// rotation is the picker of the round robin policies. It takes no lock: a pick adds one to a shared counter
// and looks up whose turn that is.
type rotation struct {
	usable
	rotor *rotor
	tick  *ticker
}

// newRotation makes a rotation over members by weights, which are all above 0. It goes on where prev stands.
func newRotation(members []*lb.Member, weights []uint64, prev lb.Picker) *rotation {
	r := &rotation{usable: usableOf(members)}
	var rotor *rotor
	if old, ok := prev.(*rotation); ok {
		r.tick, rotor = old.tick, old.rotor
	} else {
		r.tick = new(ticker)
		r.tick.n.Store(firstTick)
	}
	r.rotor = newRotor(weights, rotor)
	return r
}

// Pick returns the member whose turn it is, or else the next in the rotation that p accepts.
func (r *rotation) Pick(p *lb.Pick) *lb.Member {
	if len(r.members) == 0 {
		return nil
	}
	tick := r.tick.n.Add(1) - 1
	i := r.rotor.at(tick)
	if m := r.members[i]; r.all(p) || p.Accepts(m) {
		return m
	}
	for step := range min(r.rotor.total.d, maxRotationWalk) {
		if m := r.members[r.rotor.at(tick+step)]; p.Accepts(m) {
			return m
		}
	}
	for k := range r.members {
		if m := r.members[(i+k)%len(r.members)]; p.Accepts(m) {
			return m
		}
	}
	return nil
}

// Interface guard.
var _ lb.Picker = (*rotation)(nil)
