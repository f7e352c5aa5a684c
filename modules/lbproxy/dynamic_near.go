package lbproxy

import (
	"time"

	"go.uber.org/zap"

	"github.com/caddylb/caddy-lb/lb"
)

// maxBarred bounds in how many backends two answers may differ for one to stand in for the other.
const maxBarred = 16

// choice is how a request is to be served by a dynamic source.
type choice struct {
	pool   *pool
	pinned *lb.Snapshot  // that the request is given by; nil for the latest
	barred []*lb.Backend // of it, that the request's answer does not have
}

// near returns a view whose backends are those of a large answer but for a few. It serves the
// request without those that the answer does not name, while the view is changed in the background:
// nobody waits for that.
func (g *dynamicGroup) near(a *dynamicAnswer) (choice, bool) {
	v := g.latest.Load()
	if v == nil {
		return choice{}, false
	}
	has := v.has.Load()
	if has == nil || size(has.parts) <= largeAnswer {
		return choice{}, false
	}
	gone, ok := a.lacks(has.parts)
	s := v.Snapshot()
	if !ok || s.Set != has.set || len(s.Members) != size(has.parts) { // one named twice has no place of its own
		return choice{}, false
	}
	c := choice{pool: v.pool, pinned: s}
	for _, m := range s.Members {
		if len(gone) > 0 && gone[m.Position] {
			c.barred = append(c.barred, m.Backend)
		}
	}
	return c, true
}

// lacks returns the places of an earlier answer's backends that this one does not have in line with
// it. It reports false when there are too many. A backend that only changed its place may be among
// them.
func (a *dynamicAnswer) lacks(held []heldPart) (gone map[int]bool, ok bool) {
	if len(a.parts) != len(held) {
		return nil, false
	}
	gone = make(map[int]bool)
	offset, changes := 0, 0
	for k := range held {
		p, h := &a.parts[k], &held[k]
		if !p.identical(h) {
			return nil, false
		}
		offset += len(h.own)
		i, j := 0, 0
		for i < len(h.foreign) {
			if j < len(p.foreign) && p.dial(j) == h.foreign[i].dial {
				i, j = i+1, j+1
				continue
			}
			drop, skip := p.realign(j, h.foreign[i:])
			if changes += drop + skip; drop+skip == 0 || changes > maxBarred {
				return nil, false
			}
			for range drop {
				gone[offset+i] = true
				i++
			}
			j += skip
		}
		offset += len(h.foreign)
	}
	return gone, true
}

func (p *part) dial(i int) string {
	if u := p.foreign[i]; u != nil {
		return u.Dial
	}
	return ""
}

// realign finds how many backends of the earlier answer and of this one, from j on, to pass over
// until they are in line again; none if that is not within reach.
func (p *part) realign(j int, held []foreignUpstream) (drop, skip int) {
	at := func(drop, skip int) bool {
		if drop >= len(held) || j+skip >= len(p.foreign) {
			return drop == len(held) && j+skip == len(p.foreign)
		}
		return held[drop].dial == p.dial(j+skip)
	}
	for n := 1; n <= maxBarred; n++ {
		switch {
		case at(n, n):
			return n, n
		case at(n, 0):
			return n, 0
		case at(0, n):
			return 0, n
		}
	}
	return 0, 0
}

// follow has the group get a view of a new answer, in the background. Answers that come meanwhile
// wait to be seen by a later request, and it takes no more than half of a processor.
func (g *dynamicGroup) follow(a *dynamicAnswer) {
	if !g.busy.CompareAndSwap(false, true) {
		return
	}
	held := *a
	go func() {
		began := time.Now()
		g.mu.Lock()
		defer g.mu.Unlock()
		defer func() { time.AfterFunc(time.Since(began), func() { g.busy.Store(false) }) }()
		if v, _ := g.find(&held); v != nil || g.released {
			return
		}
		v, err := g.take(&held)
		if err == nil {
			g.latest.Store(v)
			return
		}
		g.base.log.Error("keeping the backends as they were", zap.Error(err))
		if views := *g.views.Load(); !held.exact && len(views) > 0 {
			v := views[0]
			v.has.Store(&heldAnswer{parts: held.hold(), set: v.Snapshot().Set}) // until there is another answer
		}
	}()
}
