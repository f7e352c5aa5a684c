package lbproxy

import (
	"time"

	"github.com/caddylb/caddy-lb/lb"
)

// heir is the pool that took p's place with a reload; p itself while it runs, or when the
// configuration that runs has no such pool.
func (p *pool) heir() *pool {
	if next := runningPool(p.key); next != nil && next.state == p.state {
		return next
	}
	return p
}

func (p *pool) isReleased() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.released
}

// inherit has a request that waits go by the configuration that runs: a pool that a reload replaced learns nothing of its
// backends any more, and a place that the new configuration adds is for those who wait, too.
func (ex *exchange) inherit() { ex.goBy(ex.base.heir()) }

// goBy has the request served by a pool, or by the one that its dynamic source names.
func (ex *exchange) goBy(base *pool) {
	c := base.serving(ex.in)
	ex.base, ex.pinned, ex.barred = base, c.pinned, c.barred
	for _, b := range c.barred {
		ex.pick.Tried.Add(b)
	}
	next := c.pool
	if next == ex.pool {
		return
	}
	if ex.ways == ex.pool.ways { // it may be the pool's that was inherited last
		ex.ways = next.ways
	}
	other := next.blueprint != ex.pool.blueprint
	ex.pool = next
	if other {
		ex.pick.Key = next.Key(ex.in, ex.repl)
	}
}

// snapshot is the pool as the request is to see it.
func (ex *exchange) snapshot() *lb.Snapshot {
	if ex.pinned != nil {
		return ex.pinned
	}
	return ex.pool.Snapshot()
}

// placeLook is how often the first request of a queue looks for a place of which nobody may tell it.
const placeLook = 20 * time.Millisecond

// untold reports whether the pool's backends may have free places of which those who wait are not told: a reload removed the pool, or
// its queue, and those who wait already keep their turn; or limits are adaptive, which rise with time when a probe ends.
func (p *pool) untold() bool {
	return p.queue == nil || p.isReleased() || p.Options().Adaptive != nil
}
