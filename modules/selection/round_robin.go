package selection

import (
	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddylb/caddy-lb/lb"
)

func init() {
	caddy.RegisterModule(RoundRobin{})
}

// RoundRobin gives each backend its turns by weight, smoothly: with weights 5, 1 and 1 the first is picked at
// most three times in a row. In every window of as many picks as the weights add up to (divided by their
// greatest common divisor) each backend has exactly its weight, and when backends are down the same holds for
// the others. A backend that is full loses its turn, so that the others share exactly, too.
//
// The turns are those of first tries. Retries, hedges and copies for mirrors go round by
// themselves; see [lb.Pick.Cursor].
//
// It is the default policy. The count of turns goes on when health, drains or weights change. Backends of equal
// weight take turns in the order written, and as in reverse_proxy the second of them has the first turn.
type RoundRobin struct{}

// CaddyModule returns the Caddy module information.
func (RoundRobin) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: Namespace + ".round_robin", New: func() caddy.Module { return new(RoundRobin) }}
}

// NewPicker implements [lb.Policy].
func (RoundRobin) NewPicker(tier *lb.Tier, prev lb.Picker) (lb.Picker, error) {
	u := usable{members: asWritten(tier.Selectable)}
	return newRotation(u.members, u.weights(), prev), nil
}

// UnmarshalCaddyfile sets up the policy from Caddyfile tokens: round_robin
func (*RoundRobin) UnmarshalCaddyfile(d *caddyfile.Dispenser) error { return noArguments(d) }

// Interface guards.
var (
	_ lb.Policy             = (*RoundRobin)(nil)
	_ caddyfile.Unmarshaler = (*RoundRobin)(nil)
)
