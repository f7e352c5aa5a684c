package selection

import (
	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddylb/caddy-lb/lb"
)

func init() {
	caddy.RegisterModule(LeastConn{})
}

// LeastConn picks the backend with the fewest requests under way relative to its weight. Equals are drawn at
// random by weight. It looks at every backend, which takes time proportional to their number; [LeastRequest]
// comes close to it in constant time.
type LeastConn struct {
	rand func() uint64
}

// CaddyModule returns the Caddy module information.
func (LeastConn) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: Namespace + ".least_conn", New: func() caddy.Module { return new(LeastConn) }}
}

// NewPicker implements [lb.Policy].
func (l LeastConn) NewPicker(tier *lb.Tier, prev lb.Picker) (lb.Picker, error) {
	return newLeastPicker(tier, prev, len(tier.Members), l.rand), nil
}

// UnmarshalCaddyfile sets up the policy from Caddyfile tokens: least_conn
func (*LeastConn) UnmarshalCaddyfile(d *caddyfile.Dispenser) error { return noArguments(d) }

// leastPicker picks the least loaded of some members drawn by weight, or of all.
type leastPicker struct {
	sampler
	choices int
}

func newLeastPicker(tier *lb.Tier, prev lb.Picker, choices int, random func() uint64) *leastPicker {
	var old *sampler
	if p, ok := prev.(*leastPicker); ok {
		old = &p.sampler
	}
	return &leastPicker{sampler: newSampler(tier, old, random), choices: choices}
}

// Pick implements [lb.Picker].
func (l *leastPicker) Pick(p *lb.Pick) *lb.Member { return l.leastOf(l.choices, p, load) }

// Interface guards.
var (
	_ lb.Policy             = (*LeastConn)(nil)
	_ caddyfile.Unmarshaler = (*LeastConn)(nil)
)
