package selection

import (
	"math"

	"github.com/caddylb/caddy-lb/lb"
)

// bound is the load up to which a member takes requests: ceil(factor × requests under way × its share by
// weight), the new request counted. The zero value bounds nothing.
type bound struct {
	factor float64
	total  float64 // weight of all members that may be selected
}

func newBound(factor float64, members []*lb.Member) bound {
	return bound{factor: factor, total: float64(totalWeight(members))}
}

func (b bound) on() bool { return b.factor > 0 }

// room reports whether m takes one more request. A bound that comes out a rounding error above a whole number
// is that number.
func (b bound) room(m *lb.Member) bool {
	own, all := m.Load()
	limit := b.factor * float64(all+1) * float64(m.Weight) / b.total
	return float64(own+1) <= math.Ceil(limit-1e-9)
}
