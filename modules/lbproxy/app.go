// Package lbproxy is the lb_proxy handler, a superset of Caddy's reverse_proxy, and the lb app that owns the
// pools behind it: their backends, discovery, health checks, admin API and metrics.
package lbproxy

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/caddyserver/caddy/v2"

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

	mu    sync.Mutex
	pools map[string]*pool // those and the anonymous ones

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
	a.pools, a.shared = make(map[string]*pool), make(map[string]*pool)
	a.warnings = newWarnings(ctx, a.Pools)
	for _, name := range slices.Sorted(maps.Keys(a.Pools)) {
		if name == "" {
			return fmt.Errorf("a pool needs a name")
		}
		p, err := newPool(ctx, a, name, false, a.Pools[name])
		if err != nil {
			return err
		}
		a.pools[name], a.shared[name] = p, p
	}
	if err := a.overrides.join(ctx); err != nil {
		return err
	}
	return module.RegisterMetrics(ctx, collector{})
}

// Start begins the checks and lookups of all pools. It returns when every check that is to hold back the
// configuration had its first result.
func (a *App) Start() error {
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

// anonymousPool builds the pool of one handler.
func (a *App) anonymousPool(ctx caddy.Context, config *PoolConfig) (*pool, error) {
	return a.addAnonymous(poolName(config.Upstreams), func(name string) (*pool, error) {
		return newPool(ctx, a, name, true, config)
	})
}

// poolName is what a pool that was given no name is called: its first address, and how many more there are.
func poolName(upstreams []*Upstream) string {
	switch n := len(upstreams); n {
	case 0:
		return "dynamic"
	case 1:
		return upstreams[0].Dial
	default:
		return fmt.Sprintf("%s+%d", upstreams[0].Dial, n-1)
	}
}

// addAnonymous has a pool made under the given name, or under one like it that is free.
func (a *App) addAnonymous(name string, build func(name string) (*pool, error)) (*pool, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	unique := name
	for i := 2; a.pools[unique] != nil; i++ {
		unique = fmt.Sprintf("%s#%d", name, i)
	}
	p, err := build(unique)
	if err != nil {
		return nil, err
	}
	a.pools[unique] = p
	return p, nil
}

// removeAnonymous forgets a pool and gives back what it holds.
func (a *App) removeAnonymous(p *pool) {
	a.mu.Lock()
	delete(a.pools, p.Name())
	a.mu.Unlock()
	p.release()
}

// listPools returns all pools, by name.
func (a *App) listPools() []*pool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.SortedFunc(maps.Values(a.pools), func(x, y *pool) int { return cmp.Compare(x.Name(), y.Name()) })
}

// acquirePool finds the handler's pool: a named one, or one of its own.
func (h *Handler) acquirePool(ctx caddy.Context) (*pool, error) {
	mod, err := ctx.App("lb")
	if err != nil {
		return nil, err
	}
	app := mod.(*App)
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
