package selection

import (
	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddylb/caddy-lb/lb"
)

func init() {
	caddy.RegisterModule(First{})
}

// First picks the first backend, in the order written, that is available, was not tried and has a free place:
// the others are its spares. Weights make no difference, except that 0 leaves a backend out. Backends that
// stand at the same place, as the addresses of one name do, come in the canonical order of addresses.
type First struct{}

// CaddyModule returns the Caddy module information.
func (First) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: Namespace + ".first", New: func() caddy.Module { return new(First) }}
}

// NewPicker implements [lb.Policy].
func (First) NewPicker(tier *lb.Tier, _ lb.Picker) (lb.Picker, error) {
	return inOrder(asWritten(tier.Selectable)), nil
}

// UnmarshalCaddyfile sets up the policy from Caddyfile tokens: first
func (*First) UnmarshalCaddyfile(d *caddyfile.Dispenser) error { return noArguments(d) }

// inOrder picks the first of its members.
type inOrder []*lb.Member

// Pick implements [lb.Picker].
func (o inOrder) Pick(p *lb.Pick) *lb.Member {
	for _, m := range o {
		if p.Accepts(m) {
			return m
		}
	}
	return nil
}

// Interface guards.
var (
	_ lb.Policy             = (*First)(nil)
	_ caddyfile.Unmarshaler = (*First)(nil)
)
