package lbproxy

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddylb/caddy-lb/lb"
)

// backends holds the state of every backend that some configuration names, so that a reload finds it again.
var backends = caddy.NewUsagePool()

// backendKey is the identity of a backend: its address, within a named pool or among all anonymous ones.
type backendKey struct {
	pool string // empty in anonymous pools
	id   string // lb.Address.ID
}

// String tells backends apart, as the struct does.
func (k backendKey) String() string { return k.pool + " " + k.id }

// acquireBackend takes a reference to a backend's state, making it when nobody has one. Each call is followed
// by one releaseBackend.
func acquireBackend(key backendKey, address lb.Address) *lb.Backend {
	v, _ := backends.LoadOrStore(key, lb.NewBackend(address, time.Now()))
	return v.(*lb.Backend)
}

func releaseBackend(key backendKey) { _, _ = backends.Delete(key) }

// statistics holds what pools count about their backends over reloads, by pool name and address.
var statistics = caddy.NewUsagePool()

// acquireStats takes a reference to the counters of one backend in one pool. Each call is followed by one
// releaseStats.
func acquireStats(key backendKey) *stats {
	v, _ := statistics.LoadOrStore(key, new(stats))
	return v.(*stats)
}

func releaseStats(key backendKey) { _, _ = statistics.Delete(key) }

// running is the configurations whose lb app has started and was not cleaned up yet, oldest first. The newest
// is what the admin API and the metrics show. It is process-wide because Caddy hands its admin endpoint and
// metrics registry to a new configuration before that is known to load; a failed one must not hide what runs.
var running struct {
	sync.Mutex
	apps   []*App
	newest atomic.Pointer[App] // the last of them; nil without one
}

func enterRunning(a *App) {
	running.Lock()
	defer running.Unlock()
	running.apps = append(running.apps, a)
	running.newest.Store(a)
}

func leaveRunning(a *App) {
	running.Lock()
	defer running.Unlock()
	running.apps = slices.DeleteFunc(running.apps, func(x *App) bool { return x == a })
	running.newest.Store(nil)
	if n := len(running.apps); n > 0 {
		running.newest.Store(running.apps[n-1])
	}
}

// runningPools returns the pools of the configuration that runs, by name. Those of a dynamic
// source's answers are among them.
func runningPools() (pools []*pool) {
	running.Lock()
	defer running.Unlock()
	if len(running.apps) == 0 {
		return nil
	}
	for _, p := range running.apps[len(running.apps)-1].listPools() {
		// A handler with nothing but a dynamic source has an empty pool beside those of its
		// answers.
		if p.dynamic == nil || len(p.specs) > 0 {
			pools = append(pools, p)
		}
		pools = append(pools, p.dynamic.list()...)
	}
	return pools
}

// shownPools are the running pools as people see them: the views of a dynamic source are one.
func shownPools() []*pool {
	return slices.DeleteFunc(runningPools(), func(p *pool) bool { return p.group != nil && p.group.lead() != p })
}

// poolsNamed returns the pools of this name of all configurations in running, newest first.
func poolsNamed(name string) (pools []*pool) {
	running.Lock()
	defer running.Unlock()
	for _, a := range slices.Backward(running.apps) {
		for _, p := range a.listPools() {
			if p.Name() == name {
				pools = append(pools, p)
			}
		}
	}
	return pools
}

// runningPool is the pool of this key in the configuration that runs; nil without one. It takes no
// lock: the pools of a configuration that runs stay as they are.
func runningPool(key string) *pool {
	if a := running.newest.Load(); a != nil {
		return a.byKey[key]
	}
	return nil
}
