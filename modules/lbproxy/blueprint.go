package lbproxy

import (
	"fmt"
	"net/http"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyevents"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"

	"github.com/caddylb/caddy-lb/lb"
	"github.com/caddylb/caddy-lb/modules/healthcheck"
	"github.com/caddylb/caddy-lb/modules/selection"
)

// blueprint is what a configuration says about pools apart from who their members are: how to pick, to check
// and to connect. Modules are loaded into it once; every pool made from it shares them.
type blueprint struct {
	config *PoolConfig
	policy lb.Policy
	keyer  selection.Keyer // nil when the policy hashes nothing of the request
	checks []*healthcheck.Config
	gates  []*healthcheck.Gate // one for each sequential check, else nil
	holds  bool                // a check is to have its first result before requests are served
	ways   *transports         // how to speak to the backends

	breaker reverseproxy.CircuitBreaker // nil without one

	ctx    caddy.Context
	events *caddyevents.App
}

// newBlueprint loads the modules of config, for the pool owner, which is empty when it is not known
// yet. The transport is made ready for specs. On error it has given back whatever it took.
func newBlueprint(ctx caddy.Context, owner string, config *PoolConfig, specs []memberSpec) (*blueprint, error) {
	b := &blueprint{config: config, ctx: ctx}
	events, err := ctx.App("events")
	if err != nil {
		return nil, fmt.Errorf("getting events app: %w", err)
	}
	b.events = events.(*caddyevents.App)
	if b.policy, err = config.provisionPolicy(ctx); err != nil {
		return nil, err
	}
	b.keyer, _ = b.policy.(selection.Keyer)
	if b.ways, err = newTransports(ctx, owner, config.TransportRaw, variantsOf(specs)); err != nil {
		return nil, err
	}
	if err := b.provisionGuests(); err != nil {
		b.ways.release()
		return nil, err
	}
	return b, nil
}

// provisionGuests loads the checks, which connect as the transport does, and the circuit breaker.
func (b *blueprint) provisionGuests() (err error) {
	if b.checks, err = b.config.provisionChecks(b.ctx, b.ways); err != nil {
		return err
	}
	if b.config.CircuitBreakerRaw != nil {
		mod, err := b.ctx.LoadModule(b.config, "CircuitBreakerRaw")
		if err != nil {
			return fmt.Errorf("loading circuit breaker: %w", err)
		}
		b.breaker = mod.(reverseproxy.CircuitBreaker)
	}
	b.gates = make([]*healthcheck.Gate, len(b.checks))
	for i, c := range b.checks {
		if c.Sequential {
			b.gates[i] = new(healthcheck.Gate)
		}
		b.holds = b.holds || c.Initial == healthcheck.InitialCheck
	}
	return nil
}

// Key is what the request's pick hashes; empty when the policy hashes nothing.
func (b *blueprint) Key(r *http.Request, repl *caddy.Replacer) string {
	if b.keyer == nil {
		return ""
	}
	return b.keyer.Key(r, repl)
}

// policyName is the policy's name in its namespace.
func (b *blueprint) policyName() string {
	if m, ok := b.policy.(caddy.Module); ok {
		return m.CaddyModule().ID.Name()
	}
	return ""
}
