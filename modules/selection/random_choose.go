package selection

import (
	"fmt"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddylb/caddy-lb/internal/module"
	"github.com/caddylb/caddy-lb/lb"
)

func init() {
	caddy.RegisterModule(RandomChoose{})
}

// RandomChoose is [LeastRequest] under the name and with the option it has in Caddy's reverse_proxy.
type RandomChoose struct {
	// Choose is how many backends are drawn, at least 2. More than the pool has, or than 32, are all of them.
	// Default: 2.
	Choose int `json:"choose,omitempty"`

	rand func() uint64
}

// CaddyModule returns the Caddy module information.
func (RandomChoose) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: Namespace + ".random_choose", New: func() caddy.Module { return new(RandomChoose) }}
}

// Validate implements [caddy.Validator].
func (c RandomChoose) Validate() error {
	if c.Choose != 0 && c.Choose < 2 {
		return fmt.Errorf("random_choose: choose is %d: at least 2 are needed to choose", c.Choose)
	}
	return nil
}

// NewPicker implements [lb.Policy].
func (c RandomChoose) NewPicker(tier *lb.Tier, prev lb.Picker) (lb.Picker, error) {
	choices := c.Choose
	if choices == 0 {
		choices = defaultChoices
	}
	return newLeastPicker(tier, prev, choices, c.rand), nil
}

// UnmarshalCaddyfile sets up the policy from Caddyfile tokens: random_choose <n>
func (c *RandomChoose) UnmarshalCaddyfile(d *caddyfile.Dispenser) (err error) {
	d.Next()
	if c.Choose, err = intArg(d, "random_choose <n>", 2); err != nil {
		return err
	}
	for d.NextBlock(0) {
		return module.Unknown(d, "random_choose")
	}
	return nil
}

// Interface guards.
var (
	_ lb.Policy             = (*RandomChoose)(nil)
	_ caddy.Validator       = (*RandomChoose)(nil)
	_ caddyfile.Unmarshaler = (*RandomChoose)(nil)
)
