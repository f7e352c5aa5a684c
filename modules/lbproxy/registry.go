package lbproxy

import (
	"slices"
	"sync"
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
	apps []*App
}

func enterRunning(a *App) {
	running.Lock()
	defer running.Unlock()
	running.apps = append(running.apps, a)
}

func leaveRunning(a *App) {
	running.Lock()
	defer running.Unlock()
	running.apps = slices.DeleteFunc(running.apps, func(x *App) bool { return x == a })
}

// runningPools returns the pools of the configuration that runs, by name.
func runningPools() []*pool {
	running.Lock()
	defer running.Unlock()
	if len(running.apps) == 0 {
		return nil
	}
	// A handler with nothing but a dynamic source has an empty pool beside those of its answers.
	return slices.DeleteFunc(running.apps[len(running.apps)-1].listPools(), func(p *pool) bool {
		return p.dynamic != nil && len(p.specs) == 0
	})
}

// poolsNamed returns the pools of this name of all configurations in running, newest first.
func poolsNamed(name string) (pools []*pool) {
	running.Lock()
	defer running.Unlock()
	for _, a := range slices.Backward(running.apps) {
		a.mu.Lock()
		if p := a.pools[name]; p != nil {
			pools = append(pools, p)
		}
		a.mu.Unlock()
	}
	return pools
}
