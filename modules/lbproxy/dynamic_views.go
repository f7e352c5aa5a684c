package lbproxy

import (
	"cmp"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/caddylb/caddy-lb/lb"
)

// Bounds of the views of one group. The answers of a source that changes all the time are as many
// as it has changes, and only the latest matters; those of one that looks at the request come back.
// Large answers get a further view when one of them did.
const (
	maxViews       = 64
	maxViewMembers = 32 << 10 // backends in all of them, unless a single answer has more
	largeAnswer    = 256
	rememberedSums = 32
)

// allowed is how many views there may be with one more answer, which has n backends. The caller
// holds g.mu.
func (g *dynamicGroup) allowed(n int, exact bool) int {
	if !exact {
		return 1
	}
	if n <= largeAnswer {
		return maxViews
	}
	return min(1+g.returned, maxViews)
}

// note remembers an answer, and counts it if it is one that came before and had to go.
func (g *dynamicGroup) note(sum uint64) {
	if slices.Contains(g.sums[:], sum) {
		g.returned++
	}
	g.sums[g.turn%rememberedSums] = sum
}

// take makes a view for an answer that none has, or changes the one that was not used for longest
// if there are enough. The caller holds g.mu.
func (g *dynamicGroup) take(a *dynamicAnswer) (*dynamicView, error) {
	if g.released {
		return nil, errConfigGone
	}
	parts := a.hold()
	g.note(sumOf(parts))
	views := g.spare(size(parts), a.exact)
	if v := views.spare; v != nil {
		v.used.Store(int64(lb.Monotonic()))
		return v, g.change(v, parts)
	}
	specs, err := g.specs(parts)
	if err != nil {
		return nil, err
	}
	p, err := g.base.newPool(g.id, true, specs)
	if err != nil {
		return nil, err
	}
	p.group = g
	p.begin()
	v := &dynamicView{pool: p}
	v.used.Store(int64(lb.Monotonic()))
	v.has.Store(&heldAnswer{parts: parts, set: p.Snapshot().Set})
	views.kept = append(views.kept, v)
	g.views.Store(&views.kept)
	p.log.Debug("pool of a dynamic answer", zap.Int("backends", len(specs)))
	return v, nil
}

// room is the views of a group when one more answer is to come.
type room struct {
	kept  []*dynamicView
	spare *dynamicView // that the answer may have, one of those kept; nil when there is room for another one
}

// spare finds room for an answer with n backends. Views that were not used for a while are given
// back, and the least recently used ones while there are too many; the last of these is the spare.
// The caller holds g.mu.
func (g *dynamicGroup) spare(n int, exact bool) room {
	var r room
	var out []*dynamicView
	now, members, allowed := lb.Monotonic(), n, g.allowed(n, exact)
	for _, v := range *g.views.Load() {
		if now-time.Duration(v.used.Load()) > dynamicPoolIdle {
			out = append(out, v)
			continue
		}
		r.kept = append(r.kept, v)
		members += v.size()
	}
	for len(r.kept) >= allowed || len(r.kept) > 0 && members > maxViewMembers {
		oldest := slices.MinFunc(r.kept, func(a, b *dynamicView) int { return cmp.Compare(a.used.Load(), b.used.Load()) })
		r.kept = slices.DeleteFunc(r.kept, func(v *dynamicView) bool { return v == oldest })
		members -= oldest.size()
		out = append(out, oldest)
	}
	if last := len(out) - 1; last >= 0 && n > 0 && out[last].size() > 0 {
		r.spare = out[last]
		r.kept = append(r.kept, r.spare)
		out = out[:last]
	}
	kept := slices.Clone(r.kept)
	g.views.Store(&kept)
	for _, v := range out {
		v.has.Store(nil)
		v.release()
	}
	return r
}

// size is the number of the view's backends.
func (v *dynamicView) size() int { return len(v.Snapshot().Members) }

// change gives a view the backends of another answer. What is known of those in both stays. The
// caller holds g.mu.
func (g *dynamicGroup) change(v *dynamicView, parts []heldPart) error {
	specs, err := g.specs(parts)
	if err != nil {
		return err
	}
	v.has.Store(nil)
	if err := v.renew(specs); err != nil {
		return err
	}
	v.has.Store(&heldAnswer{parts: parts, set: v.Snapshot().Set})
	return nil
}

// knownSpec is what an address was turned into, and for which answer that was last.
type knownSpec struct {
	memberSpec
	asked int // the bound on requests in the answer
	turn  int
}

// specs turns an answer into members to be. An address named twice counts once. The caller holds
// g.mu.
func (g *dynamicGroup) specs(parts []heldPart) ([]memberSpec, error) {
	n := size(parts)
	if g.known == nil || len(g.known) > 2*n+1024 {
		g.known = make(map[string]*knownSpec, n)
	}
	g.turn++
	specs := make([]memberSpec, 0, n)
	for _, part := range parts {
		for u := range part.upstreams() {
			k := g.known[u.Dial]
			switch {
			case k == nil:
				k = new(knownSpec)
				g.known[u.Dial] = k
			case k.turn == g.turn:
				continue
			}
			if k.id == "" || k.weight != u.weight() || k.priority != u.Priority || k.asked != u.MaxRequests {
				config := PoolConfig{
					HealthChecks: g.base.config.HealthChecks, TransportRaw: g.base.config.TransportRaw, Upstreams: []*Upstream{&u},
				}
				one, err := config.memberSpecs()
				if err != nil {
					return nil, err
				}
				k.memberSpec, k.asked = one[0], u.MaxRequests
			}
			k.turn, k.position = g.turn, len(specs)
			specs = append(specs, k.memberSpec)
		}
	}
	return specs, nil
}

// release gives the pools back. Requests that they were handed to may finish.
func (g *dynamicGroup) release() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.released = true
	for _, v := range *g.views.Load() {
		v.release()
	}
}

// renew gives the pool other members.
func (p *pool) renew(specs []memberSpec) error {
	p.mu.Lock()
	p.specs = specs
	p.mu.Unlock()
	return p.rebuild()
}
