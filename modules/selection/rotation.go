package selection

import (
	"math/rand/v2"
	"sync/atomic"

	"github.com/caddylb/caddy-lb/lb"
)

// maxRotationWalk bounds how far a pick goes along the rotation for a member that it accepts before
// it draws one.
const maxRotationWalk = 256

// firstTick is where a rotation begins: reverse_proxy's round robin counts before it picks, so that the second
// backend comes first.
const firstTick = 1

// cursors are the counters of a rotation, by [lb.Pick.Cursor]. That of first tries is alone in its
// cache line, for every request writes it.
type cursors struct {
	_       [64]byte
	first   atomic.Uint64
	_       [56]byte
	further [lb.Cursors - 1]atomic.Uint64
}

// newCursors has the cursors of further tries begin at places far from each other. Otherwise the
// first retry from each backend would be given to the same one.
func newCursors() *cursors {
	c := new(cursors)
	c.first.Store(firstTick)
	for i := range c.further {
		c.further[i].Store(mix(uint64(i+1)) >> 1) // the upper half is left to count in
	}
	return c
}

func (c *cursors) of(p *lb.Pick) *atomic.Uint64 {
	if i := p.Cursor(); i > 0 {
		return &c.further[i-1]
	}
	return &c.first
}

// rotation is the picker of the round robin policies. It takes no lock: a pick moves a cursor on
// and looks up whose turn it was.
type rotation struct {
	usable
	rotor   *rotor
	cursors *cursors
}

// newRotation makes a rotation over members by weights, which are all above 0. It goes on where prev stands.
func newRotation(members []*lb.Member, weights []uint64, prev lb.Picker) *rotation {
	r := &rotation{usable: usableOf(members)}
	var rotor *rotor
	if old, ok := prev.(*rotation); ok {
		r.cursors, rotor = old.cursors, old.rotor
	} else {
		r.cursors = newCursors()
	}
	r.rotor = newRotor(weights, rotor)
	return r
}

// Pick returns the next member in the rotation that p accepts. The turns of the others before it
// are lost: if they fell to the member after them, that one would have its own share and theirs. A
// pick that finds no member takes no turn.
func (r *rotation) Pick(p *lb.Pick) *lb.Member {
	if len(r.members) == 0 {
		return nil
	}
	cursor := r.cursors.of(p)
	if r.all(p) {
		return r.members[r.rotor.at(cursor.Add(1)-1)]
	}
	for {
		tick := cursor.Load()
		m, next := r.members[r.rotor.at(tick)], tick+1
		if !p.Accepts(m) {
			if m, next = r.walk(p, next); m == nil {
				return r.draw(p)
			}
		}
		if cursor.CompareAndSwap(tick, next) {
			return m
		}
	}
}

// walk returns the first member from tick on that p accepts, and the tick after its turn.
func (r *rotation) walk(p *lb.Pick, tick uint64) (m *lb.Member, next uint64) {
	for range min(r.rotor.total.d, maxRotationWalk) {
		m := r.members[r.rotor.at(tick)]
		tick++
		if p.Accepts(m) {
			return m, tick
		}
	}
	return nil, tick
}

// draw returns a member that p accepts, at random by weight. It is for rotations in which the next
// such member is far away, as when one of a very large weight is full.
func (r *rotation) draw(p *lb.Pick) (choice *lb.Member) {
	if r.rotor.total.d <= maxRotationWalk {
		return nil // the walk has seen everybody
	}
	tie := tieBreaker{rand: rand.Uint64}
	for i, m := range r.members {
		if p.Accepts(m) && tie.takeShare(r.rotor.given[i]) {
			choice = m
		}
	}
	return choice
}

// Interface guard.
var _ lb.Picker = (*rotation)(nil)
