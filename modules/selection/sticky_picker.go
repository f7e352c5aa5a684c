package selection

import (
	"fmt"
	"net/http"

	"github.com/caddylb/caddy-lb/lb"
)

// carrier is how a backend's name goes to the client and comes back.
type carrier interface {
	// find returns the index of the member that the request names, and whether it names one.
	find(r *http.Request, names *stickyNames) (member int, ok bool)

	// put has the response carry name, in place of what was put before.
	put(r *Request, name string)

	// drop takes back what was put.
	drop(h http.Header)
}

// stickyPicker keeps a client on the member that it names, and gives it to another by a fallback when it names
// none or that one cannot take it.
type stickyPicker struct {
	carrier  carrier
	tier     *lb.Tier
	names    *stickyNames
	fallback lb.Picker
}

// newStickyPicker makes the picker of a policy with these options, whose names c carries.
func newStickyPicker(s *Stickiness, c carrier, tier *lb.Tier, prev lb.Picker) (lb.Picker, error) {
	p := &stickyPicker{carrier: c, tier: tier}
	var oldFallback lb.Picker
	if old, ok := prev.(*stickyPicker); ok {
		oldFallback = old.fallback
		if old.tier.Generation == tier.Generation {
			p.names = old.names
		}
	}
	var err error
	if p.fallback, err = s.fallback.NewPicker(tier, oldFallback); err != nil {
		return nil, fmt.Errorf("fallback: %w", err)
	}
	if p.names == nil {
		p.names = newStickyNames(s.Format, s.key, tier.Members)
	}
	return p, nil
}

// Pick implements [lb.Picker] for callers without a request: they name no backend.
func (s *stickyPicker) Pick(p *lb.Pick) *lb.Member { return s.fallback.Pick(p) }

// PickRequest implements [RequestPicker].
func (s *stickyPicker) PickRequest(r *Request) *lb.Member {
	if m := s.owner(r); m != nil {
		return s.kept(r, m)
	}
	m := pick(s.fallback, r)
	if m != nil && r.Writer != nil {
		r.named = true
		s.carrier.put(r, s.names.byIndex[m.Index()])
	}
	return m
}

// owner implements [keeper].
func (s *stickyPicker) owner(r *Request) *lb.Member {
	i, ok := s.carrier.find(r.HTTP, s.names)
	if !ok || !s.tier.IsServing(i) {
		return nil
	}
	if m := s.tier.Members[i]; r.Accepts(m) {
		return m
	}
	return nil
}

// kept implements [keeper]: what an earlier pick has put does not hold any more.
func (s *stickyPicker) kept(r *Request, m *lb.Member) *lb.Member {
	if r.Writer != nil && r.named {
		s.drop(r.Writer.Header())
	}
	return m
}

// drop takes back what this picker and its fallbacks have put.
func (s *stickyPicker) drop(h http.Header) {
	s.carrier.drop(h)
	if inner, ok := s.fallback.(*stickyPicker); ok {
		inner.drop(h)
	}
}

// Interface guards.
var (
	_ RequestPicker = (*stickyPicker)(nil)
	_ keeper        = (*stickyPicker)(nil)
)
