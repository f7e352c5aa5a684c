package selection

import (
	"fmt"
	"strconv"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddylb/caddy-lb/internal/module"
	"github.com/caddylb/caddy-lb/lb"
)

func init() {
	caddy.RegisterModule(WeightedRoundRobin{})
}

// WeightedRoundRobin is [RoundRobin] with the weights written as a list beside the policy instead of at the
// backends. A weight that a backend has of its own multiplies the one from the list.
type WeightedRoundRobin struct {
	// Weights are the backends' weights in the order in which the backends are written; the addresses of one
	// name all have its weight. 0 drains a backend, and backends beyond the end of the list are not picked.
	Weights []int `json:"weights,omitempty"`
}

// CaddyModule returns the Caddy module information.
func (WeightedRoundRobin) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  Namespace + ".weighted_round_robin",
		New: func() caddy.Module { return new(WeightedRoundRobin) },
	}
}

// Validate implements [caddy.Validator]: weights lie within 0 and [lb.MaxWeight], and one is above 0.
func (w WeightedRoundRobin) Validate() error {
	positive := false
	for _, weight := range w.Weights {
		if weight < 0 {
			return fmt.Errorf("weighted_round_robin: the weight of an upstream cannot be negative, but one is %d: write 0 to drain it", weight)
		}
		if weight > lb.MaxWeight {
			return fmt.Errorf("weighted_round_robin: weight %d is not within 0 and %d", weight, lb.MaxWeight)
		}
		positive = positive || weight > 0
	}
	if !positive {
		return fmt.Errorf("weighted_round_robin requires at least one upstream with a positive weight: give one for each, in their order")
	}
	return nil
}

// NewPicker implements [lb.Policy].
func (w WeightedRoundRobin) NewPicker(tier *lb.Tier, prev lb.Picker) (lb.Picker, error) {
	var members []*lb.Member
	var weights []uint64
	for _, m := range asWritten(tier.Selectable) {
		if m.Position < len(w.Weights) && w.Weights[m.Position] > 0 {
			members = append(members, m)
			weights = append(weights, uint64(w.Weights[m.Position])*m.Share())
		}
	}
	return newRotation(members, weights, prev), nil
}

// UnmarshalCaddyfile sets up the policy from Caddyfile tokens: weighted_round_robin <weights...>
func (w *WeightedRoundRobin) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	const usage = "weighted_round_robin <weights...>"
	d.Next()
	args := d.RemainingArgs()
	if len(args) == 0 {
		return d.Errf("weighted_round_robin lacks its weights: write '%s', one for each backend in their order", usage)
	}
	for _, arg := range args {
		weight, err := strconv.Atoi(arg)
		if err != nil {
			return d.Errf("invalid weight value '%s': write '%s' with whole numbers", arg, usage)
		}
		if weight < 0 || weight > lb.MaxWeight {
			return d.Errf("invalid weight value '%s': write a number from 0 to %d", arg, lb.MaxWeight)
		}
		w.Weights = append(w.Weights, weight)
	}
	for d.NextBlock(0) {
		return module.Unknown(d, "weighted_round_robin")
	}
	return nil
}

// Interface guards.
var (
	_ lb.Policy             = (*WeightedRoundRobin)(nil)
	_ caddy.Validator       = (*WeightedRoundRobin)(nil)
	_ caddyfile.Unmarshaler = (*WeightedRoundRobin)(nil)
)
