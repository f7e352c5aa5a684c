package lbproxy

import (
	"net/http"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/caddylb/caddy-lb/lb"
)

// provisionResilience makes what the pool needs to cope with backends that fail or are full.
func (p *pool) provisionResilience() {
	p.detector = p.newDetector()
	if l := p.config.LoadBalancing; l != nil {
		p.queue = l.Queue
		if l.Limits != nil {
			p.maxRequests, p.maxRetries = l.Limits.Requests, l.Limits.Retries
		}
	}
	p.drains.pool = p
}

// limitConnections bounds the connections that the pool's transports have open. A transport may be shared with the
// configuration before a reload; the newer one's bound holds.
func (p *pool) limitConnections() {
	if !p.owner {
		return
	}
	limit := 0
	if l := p.config.LoadBalancing; l != nil && l.Limits != nil {
		limit = l.Limits.Connections
	}
	for _, tr := range *p.ways.list.Load() {
		if tr.engine != nil {
			tr.engine.SetMaxConns(limit)
		}
	}
}

// returnLimit has the bound of the configuration that goes on hold for the transports again, as p's may have been one that failed
// after it had begun.
func (p *pool) returnLimit() {
	p.mu.Lock()
	started := p.started
	p.mu.Unlock()
	if !started {
		return
	}
	for _, other := range poolsNamed(p.Name()) {
		if !other.isReleased() {
			other.limitConnections()
			return
		}
	}
}

// adapt tells a backend's adaptive limit of a try. Failures that come fast say nothing of how much the backend copes
// with; those that take too long do.
func (p *pool) adapt(limits *lb.Adaptive, m *lb.Member, t *try) {
	dropped := t.Cause == causeTimeout
	if !dropped && (t.Status == 0 || t.Status >= http.StatusInternalServerError) {
		return
	}
	m.AdaptiveLimit().Observe(limits, t.Latency, lb.Monotonic(), m.Active(), dropped)
}

// stickyPolicy is implemented by policies whose clients belong to a backend, even a drained one.
type stickyPolicy interface{ KeepsClients() bool }

// keepsClients reports whether clients belong to backends.
func (b *blueprint) keepsClients() bool {
	s, ok := b.policy.(stickyPolicy)
	return ok && s.KeepsClients()
}

// defaultDrainIdle is how long a drained backend has to be without requests before it counts as empty where clients may
// come back to it.
const defaultDrainIdle = time.Minute

// drainIdle is how long a drained backend has to be without requests before it counts as empty.
func (p *pool) drainIdle() time.Duration {
	if !p.keepsClients() {
		return 0
	}
	if l := p.config.LoadBalancing; l != nil && l.DrainIdle > 0 {
		return time.Duration(l.DrainIdle)
	}
	return defaultDrainIdle
}

// drainedEmpty reports whether a backend that is out of rotation serves nobody any more: it has no request under way,
// over all pools, and where clients belong to backends it had none for a while.
func (p *pool) drainedEmpty(m *lb.Member) bool {
	if m.Active() > 0 {
		return false
	}
	idle := p.drainIdle()
	if idle == 0 {
		return true
	}
	last := m.LastSticky()
	if since := m.DrainedSince(); !since.IsZero() {
		last = max(last, lb.MonotonicAt(since))
	}
	return lb.Monotonic()-last >= idle
}

// noteSticky notes that a request ends on a backend that is out of rotation: its client belongs there.
func noteSticky(m *lb.Member) {
	if m.Drained() || m.Weight == 0 {
		m.NoteSticky(lb.Monotonic())
	}
}

// drainLook is how often a backend that is drained is looked at until it is empty.
const drainLook = 250 * time.Millisecond

// drainWatch tells when the backends that an operator drained are empty, once for each drain.
type drainWatch struct {
	pool *pool

	mu      sync.Mutex
	timer   *time.Timer // of the next look; nil while nothing is awaited
	stopped bool
}

// watch looks after the backends that are drained now. It may be called at any time.
func (w *drainWatch) watch() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.stopped && w.timer == nil && len(w.awaited()) > 0 {
		w.timer = time.AfterFunc(drainLook, w.look)
	}
}

// awaited are the drained backends that were not told to be empty. It is remembered over reloads which were, and of which
// drain: a backend may become empty just when the configuration is replaced.
func (w *drainWatch) awaited() (members []*lb.Member) {
	entries := *w.pool.entries.Load()
	for _, m := range w.pool.Snapshot().Members {
		if e := entries[m.Backend]; e != nil && m.Drained() && e.stats.emptyTold.Load() != m.DrainedSince().UnixNano() {
			members = append(members, m)
		}
	}
	return members
}

// look tells of those that are empty. Who hears of it may give the next order, or reload, so that nothing is locked meanwhile.
func (w *drainWatch) look() {
	for _, m := range w.nowEmpty() {
		w.pool.tellEmpty(m)
	}
}

// nowEmpty takes those that are empty and were not told to be, and has the others looked at again.
func (w *drainWatch) nowEmpty() (members []*lb.Member) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.timer = nil
	if w.stopped {
		return nil
	}
	entries := *w.pool.entries.Load()
	left := 0
	for _, m := range w.awaited() {
		e := entries[m.Backend]
		if e == nil || !w.pool.drainedEmpty(m) {
			left++
			continue
		}
		if drain := m.DrainedSince().UnixNano(); e.stats.emptyTold.Swap(drain) != drain {
			members = append(members, m)
		}
	}
	if left > 0 {
		w.timer = time.AfterFunc(drainLook, w.look)
	}
	return members
}

// tellEmpty logs and announces that a drained backend serves nobody any more.
func (p *pool) tellEmpty(m *lb.Member) {
	host := m.Address().String()
	p.log.Info("drained backend is empty", zap.String("backend", host))
	p.events.Emit(p.ctx, "drained", map[string]any{"pool": p.Name(), "host": host})
}

// stop ends the watch. It may be called more than once.
func (w *drainWatch) stop() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stopped = true
	if w.timer != nil {
		w.timer.Stop()
	}
}
