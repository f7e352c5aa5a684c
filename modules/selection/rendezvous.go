package selection

import (
	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddylb/caddy-lb/internal/module"
	"github.com/caddylb/caddy-lb/lb"
)

func init() {
	caddy.RegisterModule(Rendezvous{})
}

// Rendezvous picks by highest random weight. Shares are exactly proportional to weight for any number of
// backends, and a change of the set or of a weight moves no more keys than it has to. It takes time
// proportional to the number of backends, about 2 ns for each; [Maglev] takes constant time.
type Rendezvous struct {
	Hashing
}

// CaddyModule returns the Caddy module information.
func (Rendezvous) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: Namespace + ".rendezvous", New: func() caddy.Module { return new(Rendezvous) }}
}

// NewPicker implements [lb.Policy].
func (r *Rendezvous) NewPicker(tier *lb.Tier, prev lb.Picker) (lb.Picker, error) {
	return newHRW(tier, prev, &r.Hashing), nil
}

// UnmarshalCaddyfile sets up the policy from Caddyfile tokens:
//
//	rendezvous {
//		hash_key       <placeholder>
//		balance_factor <f>
//		max_iterations <n>
//	}
func (r *Rendezvous) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next()
	if err := module.NoMore(d, "rendezvous"); err != nil {
		return err
	}
	return r.unmarshalBlock(d, nil)
}

// Interface guards.
var (
	_ lb.Policy             = (*Rendezvous)(nil)
	_ caddyfile.Unmarshaler = (*Rendezvous)(nil)
)
