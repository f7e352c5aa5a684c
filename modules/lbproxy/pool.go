package lbproxy

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"sync"
	"sync/atomic"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/caddylb/caddy-lb/internal/outlier"
	"github.com/caddylb/caddy-lb/lb"
)

// pool is one configuration's run of a pool: it builds members from what is configured and discovered, holds
// references to the state that outlives it, and publishes through its lb.Pool.
//
// Its life: making it takes references and builds the first snapshot but touches nothing that runs, since the
// configuration may still fail; start begins checks and lookups; release gives everything back.
type pool struct {
	*lb.Pool
	*blueprint

	key       string // as in identity; empty until it is known
	anonymous bool
	written   place        // of the handler, as far as it was known when it was provisioned
	uses      []SiteStatus // the sites that use the pool
	specs     []memberSpec
	dynamic   *dynamicPools // nil without a dynamic source
	group     *dynamicGroup // that it is a view of; nil for other pools
	begun     atomic.Bool   // key, state and log stay as they are from now on
	owner     bool          // the blueprint ends with this pool
	log       *zap.Logger

	state       *poolState
	queue       *Queue            // nil without one
	maxRequests int               // under way over all backends; 0 is no bound
	maxRetries  int               // the same of retries
	detector    *outlier.Detector // nil without outlier detection
	drains      drainWatch
	idleTold    atomic.Bool // of a dynamic source: see warnOfIdleDetection

	// held is closed once the checks with `initial check` had their first results; nil when there are none.
	held chan struct{}

	mu       sync.Mutex
	lookups  []*lookup
	started  bool
	released bool

	// entries is replaced as a whole, under mu, and read without it by every request.
	entries atomic.Pointer[map[*lb.Backend]*entry]
}

// newPool makes the pool that config describes. On error it has given back whatever it took.
func newPool(ctx caddy.Context, app *App, id identity, anonymous bool, config *PoolConfig) (*pool, error) {
	mistakes := messages(config.label(named(id.name, anonymous)), config.mistakes())
	p, err := func() (*pool, error) {
		if err := config.validateResilience(); err != nil {
			return nil, err
		}
		specs, err := config.memberSpecs()
		if err != nil {
			return nil, err
		}
		var owner string
		if !anonymous {
			owner = id.key
		}
		b, err := newBlueprint(ctx, owner, config, specs)
		if err != nil {
			return nil, err
		}
		p, err := b.newPool(id, anonymous, specs)
		if err != nil {
			b.ways.release()
			return nil, err
		}
		p.owner = true
		if config.DynamicUpstreamsRaw != nil {
			if p.dynamic, err = newDynamicPools(ctx, p); err != nil {
				p.release()
				return nil, err
			}
		}
		if p.key != "" {
			p.noteModules(p.ways, specs)
		}
		return p, nil
	}()
	if err != nil {
		return nil, config.located(id.name, anonymous, err)
	}
	app.warnOfPool(named(id.name, anonymous), config, mistakes...)
	return p, nil
}

// newPool makes a pool of the given members.
func (b *blueprint) newPool(id identity, anonymous bool, specs []memberSpec) (*pool, error) {
	state := new(poolState) // until it is known which pool it is
	if id.key != "" {
		state = acquirePoolState(id.key)
	}
	p := &pool{
		Pool: lb.NewPoolWith(id.name, b.policy, b.config.options(state)), blueprint: b,
		key: id.key, anonymous: anonymous, specs: specs,
		state: state, log: operatorLog(b.ctx).With(zap.String("pool", id.name)),
	}
	p.entries.Store(&map[*lb.Backend]*entry{})
	p.provisionResilience()
	if b.holds {
		p.held = make(chan struct{})
	}
	if len(specs) == 0 {
		return p, nil // a dynamic source has the backends
	}
	err := p.lookUpNames()
	if err == nil {
		err = p.rebuild()
	}
	if err != nil {
		p.release()
		return nil, err
	}
	return p, nil
}

// askAgain has a dynamic source look again for the backends of a request that one of them failed.
func (p *pool) askAgain(r *http.Request) {
	if p.dynamic == nil {
		return
	}
	if err := p.dynamic.source.failed(r); err != nil {
		p.log.Error("cannot reset the dynamic source", zap.Error(err))
	}
}

// begin starts checks and lookups.
func (p *pool) begin() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.started = true
	p.becomeTeller()
	if p.detector != nil {
		p.detector.Start()
	}
	for _, e := range *p.entries.Load() {
		e.attach()
	}
	for _, l := range p.lookups {
		l.start(p)
	}
	p.refresh() // what the checks found before they told the pool
	p.closeUnused()
	p.limitConnections()
	p.warnOfIdleDetection(len(p.Snapshot().Members))
	p.drains.watch()
}

// closeUnused closes the connections to backends that the pool does not have any more, from before a reload too. Those of a
// dynamic source come and go with requests, and their connections end by being idle.
func (p *pool) closeUnused() {
	if p.owner && p.dynamic == nil {
		p.ways.retain(p.Snapshot().Members)
	}
}

// start begins, and waits for the first results of checks that are configured to hold the configuration back
// until then.
func (p *pool) start() {
	p.begin()
	for _, e := range *p.entries.Load() {
		e.awaitFirstResults()
	}
	p.refresh()
	if p.held != nil {
		close(p.held)
	}
}

// awaitFirstChecks holds a request that came in before the configuration was active: servers may accept before
// every app has started. It reports false when the request ended first.
func (p *pool) awaitFirstChecks(ctx context.Context) bool {
	if p.held == nil {
		return true
	}
	select {
	case <-p.held:
		return true
	default:
	}
	select {
	case <-p.held:
		return true
	case <-ctx.Done():
		return false
	}
}

// refresh publishes the pool with the health, drains and weights that hold now, and tells what
// changed. It may come before the pool has begun: what it shares with the configuration that still
// runs may change any time.
func (p *pool) refresh() {
	err := p.Refresh()
	switch {
	case !p.begun.Load(): // begin tells
	case err != nil:
		p.log.Error("keeping the pool as it was", zap.Error(err))
	default:
		p.tell("")
	}
}

// rebuild makes members of what is configured and what names resolve to now, and publishes them. On error the
// pool stays as it was.
func (p *pool) rebuild() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.released {
		return nil
	}
	old := *p.entries.Load()
	byKey := make(map[backendKey]*entry, len(old))
	for _, e := range old {
		byKey[e.key] = e
	}
	specs := p.expand()
	next := make(map[*lb.Backend]*entry, len(specs))
	members, slab := make([]*lb.Member, len(specs)), make([]lb.Member, len(specs))
	for i := range specs {
		e := p.entryFor(specs[i], byKey)
		next[e.backend] = e
		members[i] = &slab[i]
		e.fill(members[i], &specs[i])
	}
	// Requests look entries up by the members they picked, so the entries are there first.
	p.entries.Store(&next)
	if err := p.Update(members); err != nil {
		p.entries.Store(&old)
		releaseEntries(next, old)
		return err
	}
	releaseEntries(old, next)
	if p.started {
		p.closeUnused()
		p.tell("")
	}
	return nil
}

// entryFor finds or makes the entry of one member. The caller holds p.mu.
func (p *pool) entryFor(spec memberSpec, old map[backendKey]*entry) *entry {
	key := p.keyOf(spec.id)
	if e := old[key]; e != nil && e.target.Name == spec.name {
		return e
	}
	e := p.newEntry(key, spec)
	if p.started {
		e.attach()
	}
	return e
}

func (p *pool) backendKey(a lb.Address) backendKey { return p.keyOf(a.ID()) }

func (p *pool) keyOf(id string) backendKey {
	if p.anonymous {
		return backendKey{id: id}
	}
	return backendKey{pool: p.Name(), id: id}
}

// releaseEntries gives back the entries that are not in keep.
func releaseEntries(entries, keep map[*lb.Backend]*entry) {
	for b, e := range entries {
		if keep[b] != e {
			e.release()
		}
	}
}

// release gives back everything. Requests that still hold a snapshot may go on; nothing refreshes it any
// more. It may be called more than once.
func (p *pool) release() {
	p.mu.Lock()
	if p.released {
		p.mu.Unlock()
		return
	}
	p.released = true
	entries := maps.Clone(*p.entries.Load())
	lookups := p.lookups
	p.mu.Unlock()

	for _, l := range lookups {
		l.release()
	}
	p.Close()
	p.endTelling()
	p.state.queue.Wake() // those who wait go by the pool of the next configuration
	p.drains.stop()
	if p.detector != nil {
		p.detector.Stop()
	}
	releaseEntries(entries, nil)
	if p.key != "" {
		releasePoolState(p.key)
	}
	p.dynamic.release()
	if p.owner {
		p.ways.release()
		p.returnLimit()
	}
}

// errNoBackends is the mend for a pool without any.
var errNoBackends = errors.New("no backends: name at least one with 'to' or 'backend'")
