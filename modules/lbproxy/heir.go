package lbproxy

import "time"

// heir is the pool that took p's place with a reload; p itself while it runs, or when no pool has its name any more.
func (p *pool) heir() *pool {
	if !p.isReleased() {
		return p
	}
	if next := runningPool(p.Name()); next != nil && next.state == p.state {
		return next
	}
	return p
}

func (p *pool) isReleased() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.released
}

// runningPool is the pool of this name in the configuration that runs; nil without one.
func runningPool(name string) *pool {
	running.Lock()
	defer running.Unlock()
	if len(running.apps) == 0 {
		return nil
	}
	a := running.apps[len(running.apps)-1]
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.pools[name]
}

// inherit has a request that waits go by the configuration that runs: a pool that a reload replaced learns nothing of its
// backends any more, and a place that the new configuration adds is for those who wait, too.
func (ex *exchange) inherit() {
	next := ex.pool.heir()
	if next == ex.pool {
		return
	}
	if ex.ways == ex.pool.ways {
		ex.ways = next.ways
	}
	ex.pool = next
	ex.pick.Key = next.Key(ex.in, ex.repl)
}

// placeLook is how often the first request of a queue looks for a place of which nobody may tell it.
const placeLook = 20 * time.Millisecond

// untold reports whether the pool's backends may have free places of which those who wait are not told: a reload removed the pool, or
// its queue, and those who wait already keep their turn; or limits are adaptive, which rise with time when a probe ends.
func (p *pool) untold() bool {
	return p.queue == nil || p.isReleased() || p.Options().Adaptive != nil
}
