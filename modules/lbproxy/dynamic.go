package lbproxy

import (
	"errors"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/caddylb/caddy-lb/lb"
)

// Bounds of the pools kept for a dynamic source. Clients may fill in the names that it is asked
// for.
const (
	maxDynamicGroups = 1024
	dynamicPoolIdle  = 10 * time.Minute
)

// dynamicPools gives each request the pool of the backends that a dynamic source of reverse_proxy
// (http.reverse_proxy.upstreams.*) names for it. There is one group for each key of the source,
// which is what it was asked for; groups that were not asked for in a while are given back.
type dynamicPools struct {
	source dynamicSource
	base   *pool // the handler's

	groups sync.Map // key -> *dynamicGroup

	mu     sync.Mutex // held while groups are added and removed
	count  int
	closed bool
}

// newDynamicPools loads the source that base's configuration names.
func newDynamicPools(ctx caddy.Context, base *pool) (*dynamicPools, error) {
	source, err := newSource(ctx, base.config.DynamicUpstreamsRaw)
	if err != nil {
		return nil, err
	}
	return &dynamicPools{source: source, base: base}, nil
}

var errConfigGone = errors.New("the configuration of this request is gone")

// serving is what serves a request: the pool itself, or with a dynamic source the one that has the
// backends of its answer.
func (p *pool) serving(r *http.Request) choice {
	if p.dynamic == nil {
		return choice{pool: p}
	}
	c, err := p.dynamic.choose(r)
	if err != nil {
		p.log.Error("no dynamic upstreams; falling back on the static ones", zap.Error(err))
		return choice{pool: p}
	}
	return c
}

// choose asks the source and chooses the pool that has the backends of its answer.
func (d *dynamicPools) choose(r *http.Request) (choice, error) {
	var a dynamicAnswer
	if err := d.source.ask(r, &a); err != nil {
		return choice{}, err
	}
	return d.chooseFor(r, &a)
}

// chooseFor chooses the pool that has the backends of an answer.
func (d *dynamicPools) chooseFor(r *http.Request, a *dynamicAnswer) (choice, error) {
	v, ok := d.groups.Load(a.key)
	if !ok {
		var err error
		if v, err = d.add(a.key); err != nil {
			return choice{}, err
		}
	}
	g := v.(*dynamicGroup)
	g.used.Store(int64(lb.Monotonic()))
	if v, s := g.find(a); v != nil {
		return choice{pool: v.pool, pinned: s}, nil
	}
	if views := *g.views.Load(); !a.exact && len(views) > 0 {
		g.follow(a) // the answer before it does until the pool has it
		return choice{pool: views[0].pool}, nil
	}
	if c, ok := g.near(a); ok {
		g.follow(a)
		return c, nil
	}
	return d.make(r, g, a)
}

// make has the group get a view of an answer, for a request that cannot do without.
func (d *dynamicPools) make(r *http.Request, g *dynamicGroup, a *dynamicAnswer) (choice, error) {
	if !g.mu.TryLock() {
		g.mu.Lock()
		// The answer may be old by now, and the new one there.
		var again dynamicAnswer
		if err := d.source.ask(r, &again); err == nil && again.key == a.key {
			a = &again
		}
	}
	defer g.mu.Unlock()
	v, s := g.find(a)
	if v == nil {
		var err error
		if v, err = g.take(a); err != nil {
			return choice{}, err
		}
		g.latest.Store(v)
		if a.exact {
			s = v.Snapshot()
		}
	}
	return choice{pool: v.pool, pinned: s}, nil
}

// add makes the group of a key that was not asked for before.
func (d *dynamicPools) add(key string) (*dynamicGroup, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if v, ok := d.groups.Load(key); ok {
		return v.(*dynamicGroup), nil
	}
	if d.closed {
		return nil, errConfigGone
	}
	d.evict()
	g := &dynamicGroup{base: d.base, id: identity{
		name: d.base.Name() + " " + d.source.label(key),
		key:  d.base.key + "\n" + key,
	}}
	g.used.Store(int64(lb.Monotonic()))
	g.views.Store(new([]*dynamicView))
	d.groups.Store(key, g)
	d.count++
	return g, nil
}

// evict gives groups back that were not used for a while, and those unused for longest when there
// are too many. The caller holds d.mu.
func (d *dynamicPools) evict() {
	type candidate struct {
		key  any
		g    *dynamicGroup
		used time.Duration
	}
	var all []candidate
	d.groups.Range(func(key, v any) bool {
		g := v.(*dynamicGroup)
		all = append(all, candidate{key, g, time.Duration(g.used.Load())})
		return true
	})
	slices.SortFunc(all, func(a, b candidate) int { return int(a.used - b.used) })
	now := lb.Monotonic()
	for _, c := range all {
		if d.count < maxDynamicGroups && now-c.used <= dynamicPoolIdle {
			return
		}
		d.groups.Delete(c.key)
		d.count--
		c.g.release()
	}
}

// list returns the pools of all groups. It may be called on nil.
func (d *dynamicPools) list() (pools []*pool) {
	if d == nil {
		return nil
	}
	d.groups.Range(func(_, v any) bool {
		for _, view := range *v.(*dynamicGroup).views.Load() {
			pools = append(pools, view.pool)
		}
		return true
	})
	slices.SortStableFunc(pools, compareNames)
	return pools
}

// release gives all pools back. Requests that wait still find them as they are. It may be called
// more than once, and on nil.
func (d *dynamicPools) release() {
	if d == nil {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closed = true
	d.groups.Range(func(_, v any) bool {
		v.(*dynamicGroup).release()
		return true
	})
}

// dynamicGroup is the pools for one key of a dynamic source: one, which follows the source's
// answer, or several where answers depend on more of the request than the key. They are one pool to
// people and to those who wait.
type dynamicGroup struct {
	base *pool
	id   identity
	used atomic.Int64 // lb.Monotonic of the last request

	views  atomic.Pointer[[]*dynamicView] // replaced under mu
	latest atomic.Pointer[dynamicView]    // found last
	busy   atomic.Bool                    // the pool is being changed in the background

	mu       sync.Mutex // held while views are made and changed
	known    map[string]*knownSpec
	turn     int                    // counts answers
	sums     [rememberedSums]uint64 // of the latest answers
	returned int                    // answers that came again after they were given up
	released bool
}

// dynamicView is a pool with the backends of one answer at a time.
type dynamicView struct {
	*pool
	has  atomic.Pointer[heldAnswer] // nil while it changes
	used atomic.Int64               // lb.Monotonic of the last request
}

// heldAnswer is the answer that a view has the backends of.
type heldAnswer struct {
	parts []heldPart
	set   uint64 // of the pool's snapshots with these backends
}

// find returns the view that has the backends of an answer, and its snapshot if answers depend on
// the request.
func (g *dynamicGroup) find(a *dynamicAnswer) (*dynamicView, *lb.Snapshot) {
	latest := g.latest.Load()
	if latest != nil {
		if s := latest.with(a); s != nil {
			return latest.found(s, a)
		}
	}
	for _, v := range *g.views.Load() {
		if v == latest {
			continue
		}
		if s := v.with(a); s != nil {
			g.latest.Store(v)
			return v.found(s, a)
		}
	}
	return nil, nil
}

func (v *dynamicView) found(s *lb.Snapshot, a *dynamicAnswer) (*dynamicView, *lb.Snapshot) {
	v.used.Store(int64(lb.Monotonic()))
	if !a.exact {
		s = nil
	}
	return v, s
}

// with is the view's snapshot if it has the backends of an answer, else nil.
func (v *dynamicView) with(a *dynamicAnswer) *lb.Snapshot {
	has := v.has.Load()
	if has == nil || !a.equal(has.parts) {
		return nil
	}
	s := v.Snapshot()
	if s.Set != has.set {
		return nil // it is about to have other ones
	}
	if !a.identical(has.parts) { // next time a look will do
		v.has.CompareAndSwap(has, &heldAnswer{parts: a.hold(), set: has.set})
	}
	return s
}
