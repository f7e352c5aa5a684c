// Package lbproxy is the lb_proxy handler, a superset of Caddy's reverse_proxy, and the lb app that owns the
// pools behind it: their backends, discovery, health checks, admin API and metrics.
package lbproxy

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddylb/caddy-lb/internal/module"
)

func init() {
	caddy.RegisterModule(new(App))
}

// App owns the pools of a configuration: those it is configured with, shared by name, and the anonymous ones
// of lb_proxy handlers. It starts their checks and lookups once the whole configuration is known to load.
type App struct {
	// Pools are the named pools.
	Pools map[string]*PoolConfig `json:"pools,omitempty"`

	shared map[string]*pool // the named pools, which stay as they are once provisioned

	mu        sync.Mutex
	http      *caddyhttp.App   // whose servers have the handlers; nil without one
	anonymous []*pool          // those of handlers
	byKey     map[string]*pool // all of them, as far as they are identified

	identifying sync.Once
	identified  atomic.Bool // identifyAll is done
	unreachable []found     // handlers that no request gets to; known when identified

	overrides overrides

	warnings
}

// CaddyModule returns the Caddy module information.
func (*App) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "lb",
		New: func() caddy.Module { return new(App) },
	}
}

// Provision builds the named pools.
func (a *App) Provision(ctx caddy.Context) error {
	a.shared, a.byKey = make(map[string]*pool), make(map[string]*pool)
	a.warnings = newWarnings(ctx, a.Pools)
	for _, name := range slices.Sorted(maps.Keys(a.Pools)) {
		if name == "" {
			return fmt.Errorf("a pool needs a name")
		}
		p, err := newPool(ctx, a, namedIdentity(name), false, a.Pools[name])
		if err != nil {
			return err
		}
		a.shared[name], a.byKey[p.key] = p, p
	}
	if err := a.overrides.join(ctx); err != nil {
		return err
	}
	return module.RegisterMetrics(ctx, collector{})
}

// Start begins the checks and lookups of all pools. It returns when every check that is to hold back the
// configuration had its first result.
func (a *App) Start() error {
	a.identifyAll()
	var wg sync.WaitGroup
	for _, p := range a.listPools() {
		wg.Go(p.start)
	}
	wg.Wait()
	enterRunning(a)
	a.warnOfWhole()
	a.overrides.subscribe()
	startGCPace()
	return nil
}

// Stop takes no more orders of the cluster. Servers of this configuration may still finish requests, for which the
// pools have to stay as they are until Cleanup.
func (a *App) Stop() error {
	a.overrides.unsubscribe()
	for _, p := range a.listPools() {
		if p.state.teller.Load() == p {
			p.state.logRefusals() // before the log is closed
		}
	}
	return nil
}

// Cleanup gives back everything the named pools hold. Anonymous pools are released by their handlers.
func (a *App) Cleanup() error {
	leaveRunning(a)
	for _, p := range a.listPools() {
		if !p.anonymous {
			p.release()
		}
	}
	return nil
}

// named returns a configured pool.
func (a *App) named(name string) (*pool, error) {
	if p, ok := a.shared[name]; ok {
		return p, nil
	}
	return nil, fmt.Errorf("there is no pool %q: define it with 'lb_pool %s { … }' in the global options", name, name)
}

// HasPool reports whether there is a pool of this name, for filters that send requests to one.
func (a *App) HasPool(name string) bool { return a.shared[name] != nil }

// anonymousPool builds the pool of one handler. Which pool it is will be known when all handlers
// are provisioned.
func (a *App) anonymousPool(ctx caddy.Context, config *PoolConfig) (*pool, error) {
	p, err := newPool(ctx, a, identity{name: provisionalName(config.Upstreams)}, true, config)
	if err != nil {
		return nil, err
	}
	p.written = provisionedPlace(ctx)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.anonymous = append(a.anonymous, p)
	return p, nil
}

// provisionalName is what a pool that was given no name is called until its place is known: its
// first address, and how many more there are.
func provisionalName(upstreams []*Upstream) string {
	switch n := len(upstreams); n {
	case 0:
		return "dynamic"
	case 1:
		return upstreams[0].Dial
	default:
		return fmt.Sprintf("%s+%d", upstreams[0].Dial, n-1)
	}
}

// belongTo notes the http app that a handler is provisioned for. Caddy's list of apps must not be
// looked at later, when requests may come in while it still changes.
func (a *App) belongTo(ctx caddy.Context) {
	for _, m := range ctx.Modules() {
		if app, ok := m.(*caddyhttp.App); ok {
			a.mu.Lock()
			a.http = app
			a.mu.Unlock()
		}
	}
}

// listPools returns the pools of the configuration and of its handlers, by name.
func (a *App) listPools() []*pool {
	a.mu.Lock()
	all := slices.AppendSeq(slices.Clone(a.anonymous), maps.Values(a.shared))
	a.mu.Unlock()
	slices.SortFunc(all, compareNames)
	return all
}

func compareNames(x, y *pool) int { return cmp.Compare(x.Name(), y.Name()) }

// acquirePool finds the handler's pool: a named one, or one of its own.
func (h *Handler) acquirePool(ctx caddy.Context) (*pool, error) {
	mod, err := ctx.App("lb")
	if err != nil {
		return nil, err
	}
	app := mod.(*App)
	app.belongTo(ctx)
	h.app = app
	if h.PoolName == "" {
		return app.anonymousPool(ctx, &h.PoolConfig)
	}
	if !h.empty() {
		return nil, fmt.Errorf("a handler of the pool %q cannot have backends of its own: add them to the pool", h.PoolName)
	}
	if option := h.ownedOption(); option != "" {
		return nil, fmt.Errorf("a handler of the pool %q cannot have %s of its own: move it into the pool", h.PoolName, option)
	}
	return app.named(h.PoolName)
}

// releasePool gives the handler's own pool back; named pools belong to the app. It may be called more than
// once, and after a Provision that failed.
func (h *Handler) releasePool() {
	if h.pool != nil && h.ways != h.pool.ways {
		h.ways.release()
	}
	if h.pool != nil && h.pool.anonymous {
		h.pool.release()
	}
}

// Interface guards
var (
	_ caddy.App          = (*App)(nil)
	_ caddy.Provisioner  = (*App)(nil)
	_ caddy.CleanerUpper = (*App)(nil)
)
