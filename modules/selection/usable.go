package selection

import (
	"cmp"
	"slices"

	"github.com/caddylb/caddy-lb/lb"
)

// usable is the members a picker chooses among: those of a tier that may be newly selected.
type usable struct {
	members []*lb.Member
	limited bool // something bounds the requests that a member serves at once
}

// asWritten returns members in the order of the configuration; the addresses of one name stay in canonical order.
func asWritten(members []*lb.Member) []*lb.Member {
	sorted := slices.Clone(members)
	slices.SortStableFunc(sorted, func(a, b *lb.Member) int { return cmp.Compare(a.Position, b.Position) })
	return sorted
}

func usableOf(members []*lb.Member) usable {
	u := usable{members: members}
	for _, m := range members {
		u.limited = u.limited || m.Limited()
	}
	return u
}

// all reports whether p accepts every member, as it does on a first try where nothing is bounded.
func (u *usable) all(p *lb.Pick) bool { return !u.limited && p.Tried.Len() == 0 }

// any reports whether p accepts a member at all.
func (u *usable) any(p *lb.Pick) bool {
	for _, m := range u.members {
		if p.Accepts(m) {
			return true
		}
	}
	return false
}

// weights lists what the members' shares are in proportion to at this moment.
func (u *usable) weights() []uint64 {
	w := make([]uint64, len(u.members))
	for i, m := range u.members {
		w[i] = m.Share()
	}
	return w
}

// totalWeight adds up the weights of members.
func totalWeight(members []*lb.Member) (total uint64) {
	for _, m := range members {
		total += uint64(m.Weight)
	}
	return total
}
