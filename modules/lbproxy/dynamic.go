package lbproxy

import (
	"fmt"
	"math"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/caddylb/caddy-lb/lb"
)

// Bounds of the pools kept for a dynamic source. Its answers may depend on the request, so there may be many.
const (
	maxDynamicPools = 1024
	dynamicPoolIdle = 10 * time.Minute
)

// dynamicPools gives each request the pool of the backends that a dynamic source of reverse_proxy
// (http.reverse_proxy.upstreams.*) names for it. Requests that get the same answer share one pool, with its
// checks and counters; pools whose answer was not seen for a while are given back.
type dynamicPools struct {
	source    dynamicSource
	blueprint *blueprint
	app       *App

	pools sync.Map // answer -> *dynamicPool

	mu     sync.Mutex // held while pools are added and removed
	count  int
	closed bool
}

type dynamicPool struct {
	*pool
	used atomic.Int64 // lb.Monotonic of the last request
}

// newDynamicPools loads the source that b's configuration names.
func newDynamicPools(ctx caddy.Context, app *App, b *blueprint) (*dynamicPools, error) {
	source, err := newSource(ctx, b.config.DynamicUpstreamsRaw)
	if err != nil {
		return nil, err
	}
	return &dynamicPools{source: source, blueprint: b, app: app}, nil
}

// poolFor asks the source and returns the pool of its answer.
func (d *dynamicPools) poolFor(r *http.Request) (*pool, error) {
	upstreams, err := d.source.upstreams(r)
	if err != nil {
		return nil, err
	}
	key := answerKey(upstreams)
	if v, ok := d.pools.Load(key); ok {
		p := v.(*dynamicPool)
		p.used.Store(int64(lb.Monotonic()))
		return p.pool, nil
	}
	return d.add(key, upstreams)
}

// answerKey tells answers apart.
func answerKey(upstreams []*Upstream) string {
	var b strings.Builder
	for _, u := range upstreams {
		b.WriteString(u.Dial)
		for _, n := range [...]int{u.MaxRequests, u.Priority, u.weight()} {
			b.WriteByte(' ')
			b.WriteString(strconv.Itoa(n))
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// add makes the pool of an answer that was not seen before.
func (d *dynamicPools) add(key string, upstreams []*Upstream) (*pool, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if v, ok := d.pools.Load(key); ok {
		return v.(*dynamicPool).pool, nil
	}
	if d.closed {
		return nil, fmt.Errorf("the configuration of this request is gone")
	}
	d.evict()
	specs, err := d.specs(upstreams)
	if err != nil {
		return nil, err
	}
	p, err := d.app.addAnonymous(poolName(upstreams), func(name string) (*pool, error) {
		return d.blueprint.newPool(name, true, specs)
	})
	if err != nil {
		return nil, err
	}
	p.begin()
	dp := &dynamicPool{pool: p}
	dp.used.Store(int64(lb.Monotonic()))
	d.pools.Store(key, dp)
	d.count++
	p.log.Debug("pool of a dynamic answer", zap.Int("backends", len(specs)))
	return p, nil
}

// specs turns an answer into members to be. An address named twice counts once.
func (d *dynamicPools) specs(upstreams []*Upstream) ([]memberSpec, error) {
	config := PoolConfig{HealthChecks: d.blueprint.config.HealthChecks, TransportRaw: d.blueprint.config.TransportRaw}
	seen := make(map[string]bool, len(upstreams))
	for _, u := range upstreams {
		if !seen[u.Dial] {
			seen[u.Dial] = true
			config.Upstreams = append(config.Upstreams, u)
		}
	}
	if len(config.Upstreams) == 0 {
		return nil, nil
	}
	return config.memberSpecs()
}

// evict gives pools back that were not used for a while, and the one unused for longest when there are too many.
// The caller holds d.mu.
func (d *dynamicPools) evict() {
	now := lb.Monotonic()
	var oldest any
	first := int64(math.MaxInt64)
	d.pools.Range(func(key, v any) bool {
		p := v.(*dynamicPool)
		switch used := p.used.Load(); {
		case now-time.Duration(used) > dynamicPoolIdle:
			d.remove(key, p)
		case used < first:
			oldest, first = key, used
		}
		return true
	})
	if d.count >= maxDynamicPools {
		if v, ok := d.pools.Load(oldest); ok {
			d.remove(oldest, v.(*dynamicPool))
		}
	}
}

// remove gives one pool back. Requests that it was handed to may finish. The caller holds d.mu.
func (d *dynamicPools) remove(key any, p *dynamicPool) {
	d.pools.Delete(key)
	d.count--
	d.app.removeAnonymous(p.pool)
}

// release gives all pools back. It may be called more than once, and on nil.
func (d *dynamicPools) release() {
	if d == nil {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closed = true
	d.pools.Range(func(key, v any) bool {
		d.remove(key, v.(*dynamicPool))
		return true
	})
}
