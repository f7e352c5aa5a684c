package lbproxy

import (
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/caddylb/caddy-lb/lb"
	"github.com/caddylb/caddy-lb/modules/healthcheck"
)

// memberSpec is one backend to be: a configured upstream, or one address that its name resolved to.
type memberSpec struct {
	address     lb.Address
	id          string // of address
	name        string // the host as configured, when address came from a lookup
	serverName  string
	weight      int
	priority    int
	backup      bool
	maxRequests int
	position    int
}

// entry is the references that a pool holds for one of its backends.
type entry struct {
	key     backendKey
	statKey backendKey // zero until the pool's identity is known
	backend *lb.Backend
	stats   *stats
	target  healthcheck.Target

	watches []watch
	passive *passive
	cancel  func() // ends the subscription to passive
	outlier *outlierHost
}

// watch is one active check of a backend, as this pool sees it.
type watch struct {
	monitor      *healthcheck.Monitor
	subscription *healthcheck.Subscription
}

// newEntry takes the references for one backend. Nothing runs until attach.
func (p *pool) newEntry(key backendKey, spec memberSpec) *entry {
	e := &entry{
		key:     key,
		backend: acquireBackend(key, spec.address),
		target:  healthcheck.Target{Address: spec.address, Name: spec.name, ServerName: spec.serverName},
	}
	if target, ok := checkable(e.target); ok {
		for i, c := range p.checks {
			e.watches = append(e.watches, watch{
				monitor: healthcheck.Acquire(c, target),
				subscription: &healthcheck.Subscription{
					Config:    c,
					Gate:      p.gates[i],
					OnChange:  func(change healthcheck.Change) { p.healthChanged(e, change) },
					OnConfirm: func() { p.tell("") },
					OnPass:    e.checkPassed,
				},
			})
		}
	} else if len(p.checks) > 0 {
		p.log.Warn("no active checks for an address that depends on the request", zap.Stringer("address", spec.address))
	}
	if hc := p.config.HealthChecks; hc != nil && hc.Passive != nil && hc.Passive.FailDuration > 0 {
		e.passive = acquirePassive(hc.Passive, key.String())
		e.cancel = e.passive.subscribe(p.refresh)
	}
	if p.detector != nil {
		e.outlier = p.watchOutliers(key)
	}
	if p.key != "" {
		e.count(p)
	} else {
		e.stats = new(stats)
	}
	return e
}

// count takes the pool's counters of the backend. The pool's identity is known.
func (e *entry) count(p *pool) {
	e.statKey = backendKey{pool: p.counterKey(), id: e.key.id}
	e.stats = acquireStats(e.statKey)
	for _, w := range e.watches {
		w.subscription.Group = p.Name()
	}
}

// checkable fills in what placeholders of the address are known without a request. It reports false when the
// address is still incomplete.
func checkable(t healthcheck.Target) (healthcheck.Target, bool) {
	if !hasPlaceholder(t.Address.Host) && !hasPlaceholder(t.Address.Port) {
		return t, true
	}
	dial, err := caddy.NewReplacer().ReplaceOrErr(t.Address.Dial(), true, true)
	if err != nil {
		return t, false
	}
	t.Address, err = parseDial(dial, t.Address.Scheme)
	return t, err == nil
}

// fill makes m the entry as the pool's configuration sees it.
func (e *entry) fill(m *lb.Member, spec *memberSpec) {
	*m = lb.Member{
		Backend:     e.backend,
		Name:        spec.name,
		Weight:      spec.weight,
		Priority:    spec.priority,
		Backup:      spec.backup,
		MaxRequests: spec.maxRequests,
		ServerName:  spec.serverName,
		Position:    spec.position,
	}
	for _, w := range e.watches {
		m.Conditions = append(m.Conditions, w.monitor)
	}
	if e.passive != nil {
		m.Conditions = append(m.Conditions, e.passive)
	}
	if e.outlier != nil {
		m.Ejection = e.outlier.Host
	}
}

// attach starts the checks of the backend, or takes over those that run.
func (e *entry) attach() {
	for _, w := range e.watches {
		w.monitor.Attach(w.subscription)
	}
}

// awaitFirstResults waits for the checks that hold the configuration back until they had a result. A check
// that never ends has its result at its timeout.
func (e *entry) awaitFirstResults() {
	for _, w := range e.watches {
		c := w.subscription.Config
		if c.Initial != healthcheck.InitialCheck {
			continue
		}
		select {
		case <-w.monitor.FirstResult():
		case <-time.After(time.Duration(c.Timeout)):
		}
	}
}

// release gives everything back; it is called once.
func (e *entry) release() {
	for _, w := range e.watches {
		w.monitor.Release(w.subscription)
	}
	if e.passive != nil {
		e.cancel()
		e.passive.release()
	}
	if e.outlier != nil {
		e.outlier.release()
	}
	if e.statKey != (backendKey{}) {
		releaseStats(e.statKey)
	}
	releaseBackend(e.key)
}

// healthChanged is told by a check that the backend changed state. During a reload the old and the new
// configuration both are; only the newest announces it.
func (p *pool) healthChanged(e *entry, change healthcheck.Change) {
	if change.Healthy {
		e.stats.reach.outage.Store(nil)
	}
	p.refresh()
	if !change.Latest {
		return
	}
	host := e.backend.Address().String()
	event, reason := "healthy", ""
	if !change.Healthy {
		event = "unhealthy"
		if change.Reason != nil {
			reason = change.Reason.Error()
		}
	}
	p.events.Emit(p.ctx, event, map[string]any{"pool": p.Name(), "host": host, "reason": reason})
}
