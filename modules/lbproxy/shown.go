package lbproxy

import (
	"cmp"
	"slices"

	"github.com/caddylb/caddy-lb/lb"
)

// shownMember is a backend of a pool as people see it.
type shownMember struct {
	*lb.Member
	pool  *pool
	entry *entry
}

// shown are the pool's backends, in the order of their addresses. The views of a dynamic source are
// shown as one pool, with the backends of all of them.
func (p *pool) shown() []shownMember {
	if p.group == nil {
		return p.ownShown(nil, nil)
	}
	var all []shownMember
	seen := make(map[*lb.Backend]bool)
	for _, v := range *p.group.views.Load() {
		all = v.ownShown(all, seen)
	}
	slices.SortFunc(all, func(a, b shownMember) int {
		return cmp.Or(a.Address().Compare(b.Address()), cmp.Compare(a.Address().ID(), b.Address().ID()))
	})
	return all
}

// ownShown adds the pool's backends to all, but for those that were seen already. With seen nil,
// none were.
func (p *pool) ownShown(all []shownMember, seen map[*lb.Backend]bool) []shownMember {
	entries := *p.entries.Load()
	for _, m := range p.Snapshot().Members {
		if e := entries[m.Backend]; e != nil && !seen[m.Backend] {
			if seen != nil {
				seen[m.Backend] = true
			}
			all = append(all, shownMember{m, p, e})
		}
	}
	return all
}

// lead is the pool that stands for all views of the group.
func (g *dynamicGroup) lead() *pool {
	views := *g.views.Load()
	if len(views) == 0 {
		return nil
	}
	return views[0].pool
}

// pools are those of the group's views. It may be called on nil.
func (g *dynamicGroup) pools() (pools []*pool) {
	if g == nil {
		return nil
	}
	for _, v := range *g.views.Load() {
		pools = append(pools, v.pool)
	}
	return pools
}

// usedBy are the sites that use the pool.
func (p *pool) usedBy() []SiteStatus {
	if p.group != nil {
		return p.group.base.uses
	}
	return p.uses
}

// shownNamed is the pool of this name as people see it; nil when there is none.
func shownNamed(name string) *pool {
	for _, p := range shownPools() {
		if p.Name() == name {
			return p
		}
	}
	return nil
}

// find is the backend with the given address or ID.
func (p *pool) find(address string) (shownMember, bool) {
	pools := []*pool{p}
	if p.group != nil {
		pools = pools[:0]
		for _, v := range *p.group.views.Load() {
			pools = append(pools, v.pool)
		}
	}
	for _, one := range pools {
		m := one.Snapshot().Find(address)
		if m == nil {
			continue
		}
		if e := (*one.entries.Load())[m.Backend]; e != nil {
			return shownMember{m, one, e}, true
		}
	}
	return shownMember{}, false
}
