package selection

import (
	"fmt"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddylb/caddy-lb/internal/module"
	"github.com/caddylb/caddy-lb/lb"
)

func init() {
	caddy.RegisterModule(LeastRequest{})
}

// defaultChoices is the number of choices of the policies of that kind: most of what can be gained is gained
// by the second (M. Mitzenmacher, "The power of two choices in randomized load balancing", 2001).
const defaultChoices = 2

// LeastRequest draws distinct backends at random by weight and picks the one with the fewest requests under
// way relative to its weight; of equals the first drawn, so that an idle pool is shared exactly by weight.
type LeastRequest struct {
	// Choices is how many backends are drawn, at least 2. More than the pool has, or than 32, are all of them.
	// Default: 2.
	Choices int `json:"choices,omitempty"`

	rand func() uint64
}

// CaddyModule returns the Caddy module information.
func (LeastRequest) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: Namespace + ".least_request", New: func() caddy.Module { return new(LeastRequest) }}
}

// Validate implements [caddy.Validator].
func (l LeastRequest) Validate() error {
	if l.Choices != 0 && l.Choices < 2 {
		return fmt.Errorf("least_request: choices is %d: at least 2 are needed to choose", l.Choices)
	}
	return nil
}

// NewPicker implements [lb.Policy].
func (l LeastRequest) NewPicker(tier *lb.Tier, prev lb.Picker) (lb.Picker, error) {
	choices := l.Choices
	if choices == 0 {
		choices = defaultChoices
	}
	return newLeastPicker(tier, prev, choices, l.rand), nil
}

// UnmarshalCaddyfile sets up the policy from Caddyfile tokens: least_request [<n>]
func (l *LeastRequest) UnmarshalCaddyfile(d *caddyfile.Dispenser) (err error) {
	d.Next()
	if d.CountRemainingArgs() > 0 {
		if l.Choices, err = intArg(d, "least_request [<n>]", 2); err != nil {
			return err
		}
	}
	for d.NextBlock(0) {
		return module.Unknown(d, "least_request")
	}
	return nil
}

// Interface guards.
var (
	_ lb.Policy             = (*LeastRequest)(nil)
	_ caddy.Validator       = (*LeastRequest)(nil)
	_ caddyfile.Unmarshaler = (*LeastRequest)(nil)
)
