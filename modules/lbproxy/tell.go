package lbproxy

import (
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/caddylb/caddy-lb/lb"
)

// operatorLog is the logger for operators. It is called "lb" for every pool, be it named or a
// handler's own.
func operatorLog(ctx caddy.Context) *zap.Logger { return ctx.Logger(new(App)) }

// becomeTeller has the pool tell operators what changes, instead of the same pool of an older
// configuration.
func (p *pool) becomeTeller() {
	p.state.teller.Store(p)
	p.begun.Store(true)
}

// endTelling hands the telling on to the same pool of another configuration, if there is one: the
// pool may belong to a configuration that failed after it had begun. A view hands it on to another
// view.
func (p *pool) endTelling() {
	if !p.state.teller.CompareAndSwap(p, nil) {
		return
	}
	for _, other := range append(p.group.pools(), poolsNamed(p.Name())...) {
		if other != p && other.state == p.state && !other.isReleased() {
			p.state.teller.CompareAndSwap(nil, other)
			return
		}
	}
}

// mayTell reports whether the pool is to tell operators what changes: it began last among those
// that share its state, or is a view of the same dynamic source as the one that did.
func (p *pool) mayTell() bool {
	if !p.begun.Load() { // until then the state may yet be replaced
		return false
	}
	t := p.state.teller.Load()
	return t == p || t != nil && p.group != nil && t.group == p.group
}

// tell has the newest configuration of a pool tell what changed.
func (s *poolState) tell() {
	p := s.teller.Load()
	switch {
	case p == nil:
	case p.group == nil:
		p.tell("")
	default:
		for _, view := range p.group.pools() {
			view.tell("")
		}
	}
}

// tell logs each change of the pool and its backends since they were told of last, in one line
// each. by says who gave the orders among the changes; empty when that is unknown.
func (p *pool) tell(by string) {
	if !p.mayTell() {
		return
	}
	s := p.state
	s.telling.Lock()
	defer s.telling.Unlock()
	n := &news{pool: p, snapshot: p.Snapshot(), entries: *p.entries.Load(), by: by}
	pending := false
	for _, m := range n.snapshot.Members {
		e := n.entries[m.Backend]
		if e == nil {
			continue
		}
		pending = n.tellBackend(e, m) || pending
	}
	if !pending && s.teller.Load() == p {
		n.tellTiers()
	}
}

// tellBackend tells what changed about one backend, and reports whether its first check is awaited.
func (n *news) tellBackend(e *entry, m *lb.Member) (pending bool) {
	t := &e.stats.told
	t.mu.Lock()
	defer t.mu.Unlock()
	n.tellStanding(e, m)
	n.tellOrders(e, m)
	return t.standing == standingPending
}

// news is what there is to tell of a pool at one moment.
type news struct {
	pool     *pool
	snapshot *lb.Snapshot
	entries  map[*lb.Backend]*entry
	by       string

	counted   bool
	available int
}

// left counts the backends that may be given requests, and that are not known to refuse them.
func (n *news) left() int {
	if n.counted {
		return n.available
	}
	n.counted = true
	for _, m := range n.snapshot.Members {
		e := n.entries[m.Backend]
		if m.Selectable() && (e == nil || e.stats.reach.outage.Load() == nil) {
			n.available++
		}
	}
	return n.available
}

// backendField names a backend in a line. It allocates, so it is made only for lines that are
// written.
func backendField(m *lb.Member) zap.Field { return zap.Stringer("backend", m.Address()) }

// line logs one change.
func (n *news) line(level zapcore.Level, message, reason string, fields ...zap.Field) {
	if c := n.pool.log.Check(level, message); c != nil {
		c.Write(append(fields, zap.String("reason", reason),
			zap.Int("available", n.left()), zap.Int("of", len(n.snapshot.Members)))...)
	}
}

// tellStanding tells whether a backend came or went.
func (n *news) tellStanding(e *entry, m *lb.Member) {
	for {
		now, o := e.standing(m)
		n.tellTurn(e, m, now, o)
		if o == nil || !o.told.Load() || e.stats.reach.outage.Load() == o {
			return
		}
		// The outage ended just now, and who ended it may have thought that nobody was told.
		n.counted, n.available = false, 0
	}
}

// tellTurn tells of one change. A backend that is out already for one reason is not told to be out
// for another one, but for ejections, of which each has its own time.
func (n *news) tellTurn(e *entry, m *lb.Member, now standing, o *outage) {
	t := &e.stats.told
	before := t.standing
	switch now {
	case standingPending:
		if before == standingUnseen {
			t.standing = now
		}
		return
	case standingTrial:
		if before == standingUnseen {
			t.standing = standingEjected
		}
		return
	case standingUp:
		n.tellReturn(e, m, before)
	case standingDown:
		if before != standingDown && before != standingUnreachable {
			t.reason = e.status(m).Reason
			n.line(zap.WarnLevel, "backend is unhealthy", t.reason, backendField(m))
		}
	case standingUnreachable:
		if before <= standingUp {
			if !o.due.Load() && !e.stats.reach.claim() {
				return // it was told not long ago; a request tells if it lasts
			}
			o.due.Store(true)
			t.reason = o.reason
			n.line(zap.WarnLevel, "backend cannot be connected to", t.reason, backendField(m))
		}
		o.told.Store(true)
	case standingEjected:
		s := e.outlier.Status()
		if s.Since == t.ejection {
			break
		}
		t.ejection, t.reason = s.Since, s.Reason
		lasts := (s.Until - lb.Monotonic()).Round(time.Millisecond)
		n.line(zap.WarnLevel, "backend is ejected", t.reason, backendField(m), zap.Int("times", s.Times), zap.Duration("for", lasts))
	}
	t.standing = now
}

// tellReturn tells of a backend that is up again.
func (n *news) tellReturn(e *entry, m *lb.Member, before standing) {
	message, reason := "", ""
	switch before {
	case standingUnseen, standingUp:
		return
	case standingUnreachable:
		message, reason = "backend can be connected to again", "it answered"
	case standingEjected:
		message, reason = "backend is back", "its ejection is over"
	default:
		message, reason = "backend is healthy", "its checks pass"
		if len(e.watches) == 0 {
			reason = "its failures are forgotten"
		}
	}
	n.line(zap.InfoLevel, message, reason, backendField(m), zap.String("was", e.stats.told.reason))
}

// tellOrders tells what operators ordered. What holds when a backend is seen for the first time was
// told when it was ordered.
func (n *news) tellOrders(e *entry, m *lb.Member) {
	t := &e.stats.told
	drained, ordered := m.Drained(), m.Weight != m.ConfiguredWeight()
	if t.orders {
		n.tellDrain(t, m, drained)
		n.tellWeight(t, m, ordered)
	}
	t.orders, t.drained, t.ordered, t.weight = true, drained, ordered, m.Weight
}

func (n *news) tellDrain(t *told, m *lb.Member, drained bool) {
	if drained == t.drained {
		return
	}
	message := "backend is drained"
	if !drained {
		message = "backend is not drained any more"
	}
	n.line(zap.InfoLevel, message, n.who(), backendField(m))
}

func (n *news) tellWeight(t *told, m *lb.Member, ordered bool) {
	weight := zap.Int("weight", m.Weight)
	switch {
	case ordered && (!t.ordered || t.weight != m.Weight):
		n.line(zap.InfoLevel, "backend has another weight", n.who(), backendField(m), weight, zap.Int("configured", m.ConfiguredWeight()))
	case !ordered && t.ordered:
		reason := "another weight is configured"
		if n.by != "" {
			reason = n.by
		}
		n.line(zap.InfoLevel, "backend has its configured weight again", reason, backendField(m), weight)
	}
}

// who says who gave an order.
func (n *news) who() string {
	if n.by != "" {
		return n.by
	}
	return "ordered by an operator"
}
