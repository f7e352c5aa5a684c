package lbproxy

import (
	"encoding/json"
	"maps"
	"slices"

	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"

	"github.com/caddylb/caddy-lb/internal/adaptation"
	"github.com/caddylb/caddy-lb/internal/module"
)

func init() {
	httpcaddyfile.RegisterDirectiveOrder("lb_proxy", httpcaddyfile.Before, "reverse_proxy")
	httpcaddyfile.RegisterGlobalOption("lb_pool", parsePool)
	httpcaddyfile.RegisterGlobalOption("lb_clients", parseClients)
}

// parseHandler parses the lb_proxy directive.
func parseHandler(helper httpcaddyfile.Helper) (*Handler, error) {
	h := new(Handler)
	if err := h.parse(helper); err != nil {
		return nil, err
	}
	if err := h.finalize(helper); err != nil {
		return nil, err
	}
	return h, nil
}

// parse reads a directive's options into h. What needs a Helper is left to finalize.
func (h *Handler) parse(helper httpcaddyfile.Helper) error {
	h.pools = definedPools(helper.Option("lb_pool"))
	return h.UnmarshalCaddyfile(helper.Dispenser)
}

// UnmarshalCaddyfile sets up the handler from Caddyfile tokens. Syntax: everything that reverse_proxy takes, and
//
//	lb_proxy [<matcher>] [<upstreams...>] {
//	    pool <name>
//	    <options of a pool: see parsePool>
//	    <options of reverse_proxy>
//	}
func (h *Handler) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // consume the directive
	directive := here(d)

	pool := newPoolParser(&h.PoolConfig)
	for _, address := range d.RemainingArgs() {
		if err := pool.addUpstreams(d, address); err != nil {
			return err
		}
	}
	h.words = pool.words
	for d.NextBlock(0) {
		if err := h.unmarshalOption(d, pool); err != nil {
			return err
		}
	}
	if h.PoolName != "" && pool.used {
		return directive.Errf("options of a pool stand beside 'pool %s': move backends, policy, checks and transport into its lb_pool", h.PoolName)
	}
	if h.PoolName == "" && h.empty() {
		return directive.WrapErr(errNoBackends)
	}
	if pool.resilient {
		h.defaultResilience()
		pool.resilient = h.PoolName == "" // a named pool has its own line
	}
	if h.LoadBalancing != nil {
		if err := h.LoadBalancing.validateRetries(); err != nil {
			return directive.WrapErr(err)
		}
	}
	if err := pool.finish(directive, h.Headers); err != nil {
		return err
	}
	if h.PoolName == "" {
		pool.collect(directive, h.label())
		adaptation.Note(poolKey{"", h.Upstreams}, poolNote{place: placeOf(directive)})
	}
	h.warnings = append(h.warnings, pool.warnings...)
	return nil
}

// unmarshalOption reads one subdirective: of a shorthand, of the pool, or of the handler.
func (h *Handler) unmarshalOption(d *caddyfile.Dispenser, pool *poolParser) error {
	if parse := h.shorthand[d.Val()]; parse != nil {
		return parse(d)
	}
	if err := pool.note(d); err != nil {
		return err
	}
	if d.Val() == "pool" {
		return h.unmarshalPoolName(d)
	}
	known, err := pool.option(d)
	if known || err != nil {
		return err
	}
	known, err = h.unmarshalRequestOption(d)
	if !known && err == nil {
		return h.unknownSubdirective(d)
	}
	return err
}

// unknownSubdirective is the error for a subdirective that neither lb_proxy has nor the shorthand.
func (h *Handler) unknownSubdirective(d *caddyfile.Dispenser) error {
	if d.Val() == "lb_pool" {
		return module.GlobalOnly(d)
	}
	names := slices.AppendSeq(slices.Sorted(maps.Keys(h.shorthand)), slices.Values(handlerOptionNames()))
	return d.Errf("unrecognized subdirective %s: %s", d.Val(), module.Suggest(d.Val(), names...))
}

// here is a dispenser that stays on d's token, for errors about all that follows it.
func here(d *caddyfile.Dispenser) *caddyfile.Dispenser {
	at := caddyfile.NewDispenser([]caddyfile.Token{d.Token()})
	at.Next()
	return at
}

// unmarshalPoolName parses `pool <name>`.
func (h *Handler) unmarshalPoolName(d *caddyfile.Dispenser) error {
	if !d.AllArgs(&h.PoolName) {
		return d.Errf("pool takes one name: write 'pool <name>'")
	}
	return h.knowsPool(d, h.PoolName)
}

// knowsPool returns an error if no lb_pool defines the pool that what d stands on names.
func (h *Handler) knowsPool(d *caddyfile.Dispenser, name string) error {
	switch {
	case h.pools == nil || h.pools[name] != nil:
		return nil
	case len(h.pools) == 0:
		return d.Errf("there is no pool %q: define it with 'lb_pool %s { … }' in the global options; "+
			"a server block without any key is global configuration, and if used, it must be first", name, name)
	}
	return d.Errf("there is no pool %q: %s; or define it with 'lb_pool %s { … }' in the global options",
		name, module.Suggest(name, slices.Sorted(maps.Keys(h.pools))...), name)
}

// definedPools are the pools that lb_pool options define. It is never nil.
func definedPools(option any) map[string]*PoolConfig {
	if app, ok := option.(httpcaddyfile.App); ok {
		var config App
		if json.Unmarshal(app.Value, &config) == nil && config.Pools != nil {
			return config.Pools
		}
	}
	return make(map[string]*PoolConfig)
}

// parsePool parses the global option lb_pool. Syntax:
//
//	lb_pool <name> {
//	    to      <upstreams...>
//	    backend <address> [weight <n>] [priority <n>] [max_requests <n>] [tls_server_name <name>] {
//	        weight          <n>
//	        priority        <n>
//	        max_requests    <n>
//	        tls_server_name <name>
//	    }
//	    update_frequency <duration>
//	    resolvers        <addresses...>
//
//	    lb_policy      <name> [<options...>]
//	    hash_key       <placeholder>
//	    balance_factor <factor>
//	    max_iterations <n>
//
//	    health_check <kind> [<args...>] { … }
//	    outlier_detection, panic_threshold, slow_start, queue, limits …: see resilienceOptions
//	    resilience default
//	    <health_* and passive options of reverse_proxy>
//
//	    transport <name> { … }
//	}
func parsePool(d *caddyfile.Dispenser, existing any) (any, error) {
	app := &App{Pools: make(map[string]*PoolConfig)}
	if prev, ok := existing.(httpcaddyfile.App); ok {
		if err := json.Unmarshal(prev.Value, app); err != nil {
			return nil, err
		}
	}
	d.Next() // consume the option
	option := here(d)

	var name string
	if !d.AllArgs(&name) || name == "" {
		return nil, option.Errf("lb_pool takes one name: write 'lb_pool <name> { … }'")
	}
	if app.Pools[name] != nil {
		return nil, option.Errf("the pool %q is defined already: give each pool one lb_pool block", name)
	}
	config := new(PoolConfig)
	pool := newPoolParser(config)
	for d.NextBlock(0) {
		if err := pool.note(d); err != nil {
			return nil, err
		}
		known, err := pool.option(d)
		if err != nil {
			return nil, err
		}
		if !known {
			return nil, unknownPoolOption(d)
		}
	}
	if config.empty() {
		return nil, option.WrapErr(errNoBackends)
	}
	if err := pool.finish(option, nil); err != nil {
		return nil, err
	}
	app.Pools[name] = config
	pool.collect(option, config.label(name))
	adaptation.Note(poolKey{name, config.Upstreams}, poolNote{placeOf(option), pool.warnings, pool.words})
	return httpcaddyfile.App{Name: "lb", Value: caddyconfig.JSON(app, nil)}, nil
}

// unknownPoolOption is the error for an option that a pool does not have.
func unknownPoolOption(d *caddyfile.Dispenser) error {
	if _, ofRequests := requestOptions[d.Val()]; ofRequests {
		return d.Errf("unrecognized option of a pool: %s: options for requests (retries, headers, streaming) stand in lb_proxy", d.Val())
	}
	return module.Unknown(d, "a pool", poolOptionNames...)
}
