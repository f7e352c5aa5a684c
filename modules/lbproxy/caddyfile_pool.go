package lbproxy

import (
	"net/http"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/headers"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"

	"github.com/caddylb/caddy-lb/lb"
	"github.com/caddylb/caddy-lb/modules/healthcheck"
	"github.com/caddylb/caddy-lb/modules/selection"
)

// poolParser reads the options of a pool, wherever they stand, into a PoolConfig.
type poolParser struct {
	config *PoolConfig

	// used tells whether anything of a pool was read.
	used bool

	schemes []string       // scheme as written of each upstream, "" where none was
	lines   map[string]int // line of each backend, to name both when one is listed twice

	places   map[string]caddyconfig.Warning // where each option stands first, without text
	words    map[string]caddyconfig.Warning // the same of addresses that are one word
	warnings []caddyconfig.Warning

	policy      lb.Policy
	policyName  string
	hashOptions []*caddyfile.Dispenser

	transport     http.RoundTripper
	transportName string

	resilient bool // `resilience default` stands there
}

func newPoolParser(config *PoolConfig) *poolParser {
	return &poolParser{
		config: config, lines: make(map[string]int),
		places: make(map[string]caddyconfig.Warning), words: make(map[string]caddyconfig.Warning),
	}
}

// option reads the option that d stands on, if it is one of a pool's.
func (p *poolParser) option(d *caddyfile.Dispenser) (known bool, err error) {
	switch d.Val() {
	case "resilience":
		p.resilient = true
		return true, unmarshalResilience(d)
	case "to":
		err = p.unmarshalTo(d)
	case "backend":
		err = p.unmarshalBackend(d)
	case "dynamic":
		err = p.unmarshalDynamic(d)
	case "update_frequency":
		err = p.unmarshalUpdateFrequency(d)
	case "resolvers":
		if p.config.Resolvers = d.RemainingArgs(); len(p.config.Resolvers) == 0 {
			err = d.ArgErr()
		}
	case "lb_policy":
		err = p.unmarshalPolicy(d)
	case "hash_key", "balance_factor", "max_iterations":
		p.hashOptions = append(p.hashOptions, d.NewFromNextSegment())
	case "health_check":
		err = p.unmarshalCheck(d)
	case "transport":
		err = p.unmarshalTransport(d)
	default:
		if known, err = p.activeOption(d); !known && err == nil {
			known, err = p.passiveOption(d)
		}
		if !known && err == nil {
			known, err = p.resilienceOption(d)
		}
		p.used = p.used || known
		return known, err
	}
	p.used = true
	return true, err
}

func (p *poolParser) unmarshalTo(d *caddyfile.Dispenser) error {
	args := d.RemainingArgs()
	if len(args) == 0 {
		return d.ArgErr()
	}
	for _, address := range args {
		if err := p.addUpstreams(d, address); err != nil {
			return err
		}
	}
	return nil
}

// unmarshalDynamic parses `dynamic <module> …`, with reverse_proxy's modules.
func (p *poolParser) unmarshalDynamic(d *caddyfile.Dispenser) error {
	if !d.NextArg() {
		return d.ArgErr()
	}
	name := d.Val()
	id := "http.reverse_proxy.upstreams." + name
	mod, err := caddyfile.UnmarshalModule(d, id)
	if err != nil {
		return err
	}
	source, ok := mod.(reverseproxy.UpstreamSource)
	if !ok {
		return d.Errf("module %s (%T) is not an UpstreamSource", id, mod)
	}
	p.config.DynamicUpstreamsRaw = caddyconfig.JSONModuleObject(source, "source", name, nil)
	return nil
}

func (p *poolParser) unmarshalUpdateFrequency(d *caddyfile.Dispenser) error {
	var value string
	if !d.AllArgs(&value) {
		return d.ArgErr()
	}
	frequency, err := caddy.ParseDuration(value)
	if err != nil || frequency <= 0 {
		return d.Errf("update_frequency %q is not a duration above 0: write for example 30s", value)
	}
	p.config.UpdateFrequency = caddy.Duration(frequency)
	return nil
}

func (p *poolParser) unmarshalPolicy(d *caddyfile.Dispenser) error {
	if !d.NextArg() {
		return d.ArgErr()
	}
	p.policyName = d.Val()
	policy, err := selection.UnmarshalPolicy(d)
	p.policy = policy
	return err
}

func (p *poolParser) unmarshalCheck(d *caddyfile.Dispenser) error {
	check := new(healthcheck.Config)
	if err := check.UnmarshalCaddyfile(d.NewFromNextSegment()); err != nil {
		return err
	}
	hc := p.healthChecks()
	hc.Checks = append(hc.Checks, check)
	return nil
}

func (p *poolParser) healthChecks() *HealthChecks {
	if p.config.HealthChecks == nil {
		p.config.HealthChecks = new(HealthChecks)
	}
	return p.config.HealthChecks
}

func (p *poolParser) unmarshalTransport(d *caddyfile.Dispenser) error {
	if !d.NextArg() {
		return d.ArgErr()
	}
	p.transportName = d.Val()
	id := "http.reverse_proxy.transport." + p.transportName
	mod, err := caddyfile.UnmarshalModule(d, id)
	if err != nil {
		return err
	}
	rt, ok := mod.(http.RoundTripper)
	if !ok {
		return d.Errf("module %s (%T) is not a RoundTripper", id, mod)
	}
	p.transport = rt
	return nil
}

// finish completes the configuration when all options are read. d stands on what the pool began with.
func (p *poolParser) finish(d *caddyfile.Dispenser, up *headers.Handler) error {
	if p.resilient {
		p.defaultResilience()
	}
	if err := p.finishPolicy(); err != nil {
		return err
	}
	return p.finishTransport(d, up)
}

// finishPolicy gives the policy the options written beside it, and encodes it.
func (p *poolParser) finishPolicy() error {
	for _, option := range p.hashOptions {
		option.Next()
		hashing, ok := p.policy.(interface{ HashOptions() *selection.Hashing })
		if !ok {
			policy := p.policyName
			if policy == "" {
				policy = defaultPolicy
			}
			return option.Errf("%s needs an lb_policy that hashes a key, such as consistent; %s does not", option.Val(), policy)
		}
		if _, err := hashing.HashOptions().UnmarshalOption(option); err != nil {
			return err
		}
	}
	if p.policy == nil {
		return nil
	}
	if p.config.LoadBalancing == nil {
		p.config.LoadBalancing = new(LoadBalancing)
	}
	p.config.LoadBalancing.SelectionPolicyRaw = selection.EncodePolicy(p.policy, p.policyName)
	return nil
}
