package selection

import (
	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddylb/caddy-lb/lb"
)

func init() {
	caddy.RegisterModule(Random{})
}

// Random picks a backend at random, with a probability exactly proportional to its weight among those that
// can be picked. It takes constant time.
type Random struct {
	rand func() uint64
}

// CaddyModule returns the Caddy module information.
func (Random) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: Namespace + ".random", New: func() caddy.Module { return new(Random) }}
}

// NewPicker implements [lb.Policy].
func (r Random) NewPicker(tier *lb.Tier, prev lb.Picker) (lb.Picker, error) {
	var old *sampler
	if p, ok := prev.(*randomPicker); ok {
		old = &p.sampler
	}
	return &randomPicker{newSampler(tier, old, r.rand)}, nil
}

// UnmarshalCaddyfile sets up the policy from Caddyfile tokens: random
func (*Random) UnmarshalCaddyfile(d *caddyfile.Dispenser) error { return noArguments(d) }

type randomPicker struct {
	sampler
}

// Pick implements [lb.Picker].
func (r *randomPicker) Pick(p *lb.Pick) *lb.Member {
	if i := r.draw(p, nil); i >= 0 {
		return r.members[i]
	}
	return nil
}

// Interface guards.
var (
	_ lb.Policy             = (*Random)(nil)
	_ caddyfile.Unmarshaler = (*Random)(nil)
)
