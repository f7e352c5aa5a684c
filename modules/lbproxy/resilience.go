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

// defaultDrainIdle is how long a drained backend has to be without requests before it counts as empty where clients may
// come back to it.
const defaultDrainIdle = time.Minute

// drainIdle is how long a drained backend has to be without requests before it counts as empty.
func (p *pool) drainIdle() time.Duration {
	if s, ok := p.policy.(stickyPolicy); !ok || !s.KeepsClients() {
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
		last = max(last, sinceStart(since))
	}
	return lb.Monotonic()-last >= idle
}

// drainLook is how often a backend that is drained is looked at until it is empty.
const drainLook = 250 * time.Millisecond

// drainWatch tells when the backends that an operator drained are empty.
type drainWatch struct {
	pool *pool

	mu      sync.Mutex
	timer   *time.Timer          // of the next look; nil while nothing is awaited
	told    map[*lb.Backend]bool // of each drained backend, whether it was told to be empty
	stopped bool
}

// watch looks after the backends that are drained now. It may be called at any time. Those that are empty already when
// a configuration starts were told of by the one before.
func (w *drainWatch) watch(starting bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.stopped {
		return
	}
	if w.told == nil {
		w.told = make(map[*lb.Backend]bool)
	}
	awaited := false
	for _, m := range w.pool.Snapshot().Members {
		told, known := w.told[m.Backend]
		switch {
		case !m.Drained():
			delete(w.told, m.Backend)
			continue
		case !known:
			told = starting && w.pool.drainedEmpty(m)
			w.told[m.Backend] = told
		}
		awaited = awaited || !told
	}
	if awaited && w.timer == nil {
		w.timer = time.AfterFunc(drainLook, w.look)
	}
}

// look tells of those that are empty.
func (w *drainWatch) look() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.timer = nil
	if w.stopped {
		return
	}
	awaited := false
	for _, m := range w.pool.Snapshot().Members {
		told, known := w.told[m.Backend]
		if !known || told || !m.Drained() {
			continue
		}
		if !w.pool.drainedEmpty(m) {
			awaited = true
			continue
		}
		w.told[m.Backend] = true
		w.pool.tellEmpty(m)
	}
	if awaited {
		w.timer = time.AfterFunc(drainLook, w.look)
	}
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
