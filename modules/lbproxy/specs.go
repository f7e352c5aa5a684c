package lbproxy

import (
	"fmt"
	"slices"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"

	"github.com/caddylb/caddy-lb/lb"
	"github.com/caddylb/caddy-lb/modules/healthcheck"
)

// defaultPolicy picks where none is configured.
const defaultPolicy = "round_robin"

// provisionPolicy loads the selection policy.
func (c *PoolConfig) provisionPolicy(ctx caddy.Context) (lb.Policy, error) {
	if c.LoadBalancing == nil {
		c.LoadBalancing = new(LoadBalancing)
	}
	if c.LoadBalancing.SelectionPolicyRaw == nil {
		c.LoadBalancing.SelectionPolicyRaw = caddyconfig.JSON(map[string]string{"policy": defaultPolicy}, nil)
	}
	mod, err := ctx.LoadModule(c.LoadBalancing, "SelectionPolicyRaw")
	if err != nil {
		return nil, fmt.Errorf("loading selection policy: %w", err)
	}
	policy, ok := mod.(lb.Policy)
	if !ok {
		return nil, fmt.Errorf("%T is no selection policy: it does not implement lb.Policy", mod)
	}
	return policy, nil
}

// provisionChecks provisions the active checks, that of the stock form among them. They connect as ways do.
func (c *PoolConfig) provisionChecks(ctx caddy.Context, ways *transports) ([]*healthcheck.Config, error) {
	if c.HealthChecks == nil {
		return nil, nil
	}
	checks := slices.Clone(c.HealthChecks.Checks)
	if a := c.HealthChecks.Active; a != nil && a.IsEnabled() {
		stock, err := healthcheck.FromActive(a)
		if err != nil {
			return nil, err
		}
		checks = slices.Insert(checks, 0, stock)
	}
	inherited := healthcheck.Inherited{Key: string(c.TransportRaw)}
	inherited.TLS, inherited.ProxyProtocol = ways.connection()
	for i, check := range checks {
		check.Inherit(inherited)
		check.LogTo(operatorLog(ctx))
		if err := check.Provision(ctx); err != nil {
			return nil, fmt.Errorf("health check %d: %w", i+1, err)
		}
	}
	return checks, nil
}

// empty reports whether nothing says where the backends are.
func (c *PoolConfig) empty() bool { return len(c.Upstreams) == 0 && c.DynamicUpstreamsRaw == nil }

// memberSpecs turns the configured upstreams into members to be.
func (c *PoolConfig) memberSpecs() ([]memberSpec, error) {
	if c.empty() {
		return nil, errNoBackends
	}
	defaultScheme := transportScheme(c.TransportRaw)
	specs := make([]memberSpec, 0, len(c.Upstreams))
	seen := make(map[string]bool, len(c.Upstreams))
	for i, u := range c.Upstreams {
		scheme := u.Scheme
		switch scheme {
		case "":
			scheme = defaultScheme
		case "http", "https", "h2c":
		default:
			return nil, fmt.Errorf("backend %s: scheme %q is none of http, https, h2c", u.Dial, u.Scheme)
		}
		address, err := parseDial(u.Dial, scheme)
		if err != nil {
			return nil, err
		}
		id := address.ID()
		if seen[id] {
			return nil, fmt.Errorf("backend %s is in the pool twice: list it once, with a larger weight", u.Dial)
		}
		seen[id] = true
		spec := memberSpec{
			address: address, id: id, serverName: u.TLSServerName, weight: u.weight(),
			priority: u.Priority, backup: u.Backup, maxRequests: u.MaxRequests, position: i,
		}
		if spec.weight < 0 || spec.weight > lb.MaxWeight {
			return nil, fmt.Errorf("backend %s: weight %d is not within 0 (drained) and %d", u.Dial, spec.weight, lb.MaxWeight)
		}
		if p := c.passive(); p != nil && spec.maxRequests == 0 {
			spec.maxRequests = p.UnhealthyRequestCount
		}
		if c.UpdateFrequency > 0 && needsLookup(address) {
			spec.name = address.Host
			if spec.serverName == "" && scheme == "https" && transportServerName(c.TransportRaw) == "" {
				spec.serverName = address.Host
			}
		}
		specs = append(specs, spec)
	}
	return specs, nil
}

func (c *PoolConfig) passive() *PassiveHealthChecks {
	if c.HealthChecks == nil {
		return nil
	}
	return c.HealthChecks.Passive
}

// variantsOf lists the ways in which the members are spoken to.
func variantsOf(specs []memberSpec) []variant {
	seen := make(map[variant]bool)
	var variants []variant
	for _, s := range specs {
		v := variant{scheme: s.address.Scheme, serverName: s.serverName}
		if !seen[v] {
			seen[v] = true
			variants = append(variants, v)
		}
	}
	return variants
}
