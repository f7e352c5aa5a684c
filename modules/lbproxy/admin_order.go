package lbproxy

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/caddylb/caddy-lb/lb"
)

// Who gave an order, in the log.
const (
	byAdminAPI = "ordered through the admin API"
	byCluster  = "ordered at another instance"
)

// patchBackend carries out an order for a backend. Orders hold until they are taken back, over
// reloads; a weight also until another one is configured.
func patchBackend(w http.ResponseWriter, r *http.Request, p *pool, m *lb.Member, e *entry) error {
	o, err := readOrder(r.Body)
	if err != nil {
		return badRequest(err)
	}
	if err := carryOut(r.Context(), p, m, o); err != nil {
		return err
	}
	current := p.Snapshot().Find(m.Address().ID())
	if current == nil {
		current = m
	}
	return writeJSON(w, p.backendStatus(e, current))
}

// carryOut does what an operator ordered, and tells the cluster what holds then.
func carryOut(ctx context.Context, p *pool, m *lb.Member, o *order) error {
	orderMu.Lock()
	defer orderMu.Unlock()
	if err := setWeight(p, m, o); err != nil {
		return badRequest(err)
	}
	var err error
	if o.drain != nil {
		m.SetDrained(*o.drain, time.Now())
		err = refreshAllOf(m.Backend)
	}
	tellAllOf(m.Backend, byAdminAPI)
	runningOverrides().publish(ctx, p, m)
	return err
}

// setWeight overrides a backend's weight or takes that back, unless a policy cannot work with it.
func setWeight(p *pool, m *lb.Member, o *order) error {
	before := m.WeightOverride()
	switch {
	case o.takeWeight:
		m.RestoreWeight(nil)
	case o.weight != nil:
		configured, _ := p.Configured(m.Backend)
		m.SetWeight(configured, *o.weight)
	default:
		return nil
	}
	err := refreshAllOf(m.Backend)
	if err != nil {
		m.RestoreWeight(before)
		err = errors.Join(err, refreshAllOf(m.Backend))
	}
	return err
}

// refreshAllOf publishes every running pool that has the backend.
func refreshAllOf(b *lb.Backend) error {
	var failed error
	for _, p := range runningPools() {
		if _, ok := p.Configured(b); ok {
			failed = errors.Join(failed, p.Refresh())
			p.drains.watch()
		}
	}
	return failed
}

// tellAllOf tells of an order in every running pool that has the backend.
func tellAllOf(b *lb.Backend, by string) {
	for _, p := range runningPools() {
		if _, ok := p.Configured(b); ok {
			p.tell(by)
		}
	}
}
