package lbproxy

import (
	"encoding/json"

	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

func init() {
	httpcaddyfile.RegisterHandlerDirective("lb_proxy", parseHandler)
	httpcaddyfile.RegisterDirectiveOrder("lb_proxy", httpcaddyfile.Before, "reverse_proxy")
	httpcaddyfile.RegisterGlobalOption("lb_pool", parsePool)
	httpcaddyfile.RegisterGlobalOption("lb_clients", parseClients)
}

// parseHandler parses the lb_proxy directive.
func parseHandler(helper httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
	h := new(Handler)
	if err := h.parse(helper); err != nil {
		return nil, err
	}
	return h, h.finalize(helper)
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
	for d.NextBlock(0) {
		if parse := h.shorthand[d.Val()]; parse != nil {
			if err := parse(d); err != nil {
				return err
			}
			continue
		}
		if d.Val() == "pool" {
			if err := h.unmarshalPoolName(d); err != nil {
				return err
			}
			continue
		}
		known, err := pool.option(d)
		if err != nil {
			return err
		}
		if known {
			continue
		}
		if known, err = h.unmarshalRequestOption(d); err != nil {
			return err
		}
		if !known {
			return d.Errf("unrecognized subdirective %s", d.Val())
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
	return pool.finish(directive, h.Headers)
}

// here is a dispenser that stays on d's token, for errors about all that follows it.
func here(d *caddyfile.Dispenser) *caddyfile.Dispenser {
	at := caddyfile.NewDispenser([]caddyfile.Token{d.Token()})
	at.Next()
	return at
}

// unmarshalPoolName parses `pool <name>`.
func (h *Handler) unmarshalPoolName(d *caddyfile.Dispenser) error {
	if h.PoolName != "" {
		return d.Errf("the pool is %s already: a handler has one pool", h.PoolName)
	}
	if !d.AllArgs(&h.PoolName) {
		return d.Errf("pool takes one name: write 'pool <name>'")
	}
	if h.pools != nil && !h.pools[h.PoolName] {
		return d.Errf("there is no pool %q: define it with 'lb_pool %s { … }' in the global options", h.PoolName, h.PoolName)
	}
	return nil
}

// definedPools is the set of names that lb_pool options define. It is never nil.
func definedPools(option any) map[string]bool {
	names := make(map[string]bool)
	if app, ok := option.(httpcaddyfile.App); ok {
		var config App
		if json.Unmarshal(app.Value, &config) == nil {
			for name := range config.Pools {
				names[name] = true
			}
		}
	}
	return names
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
		known, err := pool.option(d)
		if err != nil {
			return nil, err
		}
		if !known {
			return nil, d.Errf("unrecognized option of a pool: %s: options for requests (retries, headers, streaming) stand in lb_proxy", d.Val())
		}
	}
	if config.empty() {
		return nil, option.WrapErr(errNoBackends)
	}
	if err := pool.finish(option, nil); err != nil {
		return nil, err
	}
	app.Pools[name] = config
	return httpcaddyfile.App{Name: "lb", Value: caddyconfig.JSON(app, nil)}, nil
}
