package lbproxy

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/caddylb/caddy-lb/lb"
)

// orderMu is held while an order is carried out and published, whoever gave it: what another instance ordered before does not come
// between the two.
var orderMu sync.Mutex

// overrides is an lb app's part in a cluster that shares operators' orders.
type overrides struct {
	shared lb.SharedOverrides // nil when nothing is shared
	log    *zap.Logger
	cancel func() // nil while not subscribed
}

// join finds what shares orders, if that is configured.
func (o *overrides) join(ctx caddy.Context) error {
	o.log = ctx.Logger()
	mod, err := ctx.AppIfConfigured("lb_cluster")
	if errors.Is(err, caddy.ErrNotConfigured) {
		return nil
	}
	if err != nil {
		return err
	}
	o.shared, _ = mod.(lb.SharedOverrides)
	return nil
}

// subscribe carries out what holds in the cluster, and from now on what is ordered there. The app has to be among those that run.
func (o *overrides) subscribe() {
	if o.shared != nil && o.cancel == nil {
		o.cancel = o.shared.Subscribe(o.apply)
	}
}

// unsubscribe ends that. It may be called more than once.
func (o *overrides) unsubscribe() {
	if o.cancel != nil {
		o.cancel()
		o.cancel = nil
	}
}

// publish tells the cluster what holds for a backend, after an order that was given here. The order stands whether or not others can be
// told now. The caller holds orderMu.
func (o *overrides) publish(ctx context.Context, p *pool, m *lb.Member) {
	if o == nil || o.shared == nil {
		return
	}
	order := lb.Override{Pool: p.backendKey(m.Address()).pool, Backend: m.Address().ID()}
	if m.Drained() {
		drained := true
		order.Drained = &drained
	}
	// The configured weight is what an operator sets to have the configuration decide again.
	if w := m.Backend.WeightOverride(); w != nil && w.Weight != w.Configured {
		order.Weight, order.Configured = &w.Weight, w.Configured
	}
	if err := o.shared.Publish(ctx, order); err != nil {
		o.log.Warn("an order is not with the cluster yet", zap.Stringer("backend", m.Address()), zap.Error(err))
	}
}

// apply carries out an order of the cluster. It has no effect where there is no such backend, and where it holds already.
func (o *overrides) apply(order lb.Override) {
	orderMu.Lock()
	defer orderMu.Unlock()
	for _, p := range runningPools() {
		if m := p.Snapshot().Find(order.Backend); m != nil && p.backendKey(m.Address()).pool == order.Pool {
			o.applyTo(m.Backend, order)
		}
	}
}

func (o *overrides) applyTo(b *lb.Backend, order lb.Override) {
	drain := order.Drained != nil && *order.Drained
	var weight *lb.WeightOverride
	if order.Weight != nil {
		weight = &lb.WeightOverride{Configured: order.Configured, Weight: *order.Weight}
	}
	before := b.WeightOverride()
	same := before == weight || before != nil && weight != nil && *before == *weight
	if same && b.Drained() == drain {
		return
	}
	b.SetDrained(drain, time.Now())
	b.RestoreWeight(weight)
	log := o.log.With(zap.Stringer("backend", b.Address()), zap.Bool("drain", drain), zap.Intp("weight", order.Weight))
	if err := refreshAllOf(b); err != nil {
		b.RestoreWeight(before)
		log.Error("an order of another instance cannot be carried out", zap.Error(errors.Join(err, refreshAllOf(b))))
		return
	}
	tellAllOf(b, byCluster)
}

// runningOverrides is the running configuration's part in the cluster; nil when there is none.
func runningOverrides() *overrides {
	running.Lock()
	defer running.Unlock()
	if len(running.apps) == 0 {
		return nil
	}
	return &running.apps[len(running.apps)-1].overrides
}
