package lb

import (
	"slices"
	"sync/atomic"
	"time"
)

// MaxWeight is the largest weight a member may have. It leaves room to add up the weights of any pool that
// fits in memory.
const MaxWeight = 1 << 20

// Condition is one reason for which a member may be out of service, an active check for example. A pool reads
// it when it builds a snapshot; whoever owns the condition calls [Pool.Refresh] when the answer changes.
type Condition interface {
	// Healthy reports whether the condition lets the member serve.
	Healthy() bool
}

// Member is a backend as one pool's configuration sees it. It does not change after it was given to a pool:
// a new configuration, weight or set of addresses makes new members over the same backends.
type Member struct {
	// Backend is the shared state of the server.
	*Backend

	// Name is the host as written in the configuration, where the address came from a name; else empty.
	// Server name and Host header are taken from it.
	Name string

	// Weight is the member's share relative to the others. 0 means drained: checked, never newly selected.
	Weight int

	// Priority is the tier: 0 first; a higher tier serves only when the lower ones cannot.
	Priority int

	// Backup keeps the member for when no other one of the pool can serve; Priority then means nothing.
	Backup bool

	// MaxRequests bounds the requests served at once; 0 is no bound.
	MaxRequests int

	// ServerName overrides the name used in TLS for this member; empty leaves it to the transport.
	ServerName string

	// Position is the member's place in the configuration, counted from 0. Policies whose meaning depends on
	// the order written use it; the addresses of one name share it.
	Position int

	// Conditions all have to be healthy for the member to serve.
	Conditions []Condition

	// Ejection is what outlier detection says about the member; nil without it.
	Ejection Ejection

	index int
	share *share

	configured int // Weight without an operator's override

	// What holds in the snapshot that the member belongs to.
	ejected       bool      // Ejection keeps it out
	trial         Trial     // not nil while it may have one request at a time
	adaptive      *Adaptive // of the pool
	weightNow     uint64    // see Share
	wasSelectable bool
	settled       bool // selectable, and not for a trial
	enters        bool // it came into service with the snapshot
}

// share counts what one pool itself has under way on a backend; it is kept when the pool's members change.
type share struct {
	active atomic.Int64
	total  *atomic.Int64
}

// tier is the priority that the member counts for.
func (m *Member) tier() int {
	if m.Backup {
		return backupTier
	}
	return m.Priority
}

// ConfiguredWeight is the weight without an operator's order.
func (m *Member) ConfiguredWeight() int { return m.configured }

// Index is the member's place in [Tier.Members] of its tier.
func (m *Member) Index() int { return m.index }

// Healthy reports whether every condition lets the member serve, and it is not ejected.
func (m *Member) Healthy() bool {
	return !m.ejected && !slices.ContainsFunc(m.Conditions, func(c Condition) bool { return !c.Healthy() })
}

// Selectable reports whether the member may be newly selected: healthy, of a weight above 0 and not drained.
func (m *Member) Selectable() bool { return m.inRotation() && m.Healthy() }

// inRotation reports whether the member is meant to be newly selected, as far as its health allows.
func (m *Member) inRotation() bool { return m.Weight > 0 && !m.Drained() }

// EjectedNow reports whether outlier detection keeps the member out of this pool: its backend is ejected, and the pool
// has not as many ejected already as it may have. In panic it is used all the same, as members that are down are.
func (m *Member) EjectedNow() bool { return m.ejected }

// OnTrialNow reports whether the member is given one request at a time in this pool: its backend is on trial, and others serve.
func (m *Member) OnTrialNow() bool { return m.trial != nil }

// Share is the member's weight at this moment relative to the others of its tier: its Weight, less while it starts
// slowly. Only ratios have a meaning. Policies that share out requests use it; those that hash keys use Weight, since
// keys that move with a ramp would move twice.
func (m *Member) Share() uint64 {
	if m.weightNow == 0 {
		return uint64(m.Weight)
	}
	return m.weightNow
}

// Warmth is the part of its weight that a member has which starts slowly; 1 when it has all of it.
func (m *Member) Warmth() float64 {
	if m.Weight == 0 || m.weightNow == 0 || m.weightNow == uint64(m.Weight) {
		return 1
	}
	return float64(m.weightNow) / float64(m.Weight) / rampScale
}

// Limited reports whether anything bounds the requests that the member serves at once, so that it may be full.
func (m *Member) Limited() bool { return m.MaxRequests > 0 || m.trial != nil || m.adaptive != nil }

// Limit is how many requests the member may serve at once; 0 is no bound.
func (m *Member) Limit() int {
	limit := m.MaxRequests
	if m.adaptive != nil {
		if n := m.limit.Limit(m.adaptive); limit == 0 || n < limit {
			limit = n
		}
	}
	return limit
}

// Full reports whether the member serves as many requests as it may.
func (m *Member) Full() bool {
	if limit := m.Limit(); limit > 0 && m.active.Load() >= int64(limit) {
		return true
	}
	return m.trial != nil && m.trial.Taken()
}

// Acquire takes one of the member's places for a request and counts it. It returns false, having counted
// nothing, when all places are taken: [Member.Full] may have changed since the pick. Every successful call is
// followed by exactly one [Member.Release].
func (m *Member) Acquire() bool {
	if m.trial != nil && !m.trial.Take() {
		return false
	}
	if !m.takePlace() {
		if m.trial != nil {
			m.trial.Return()
			m.queues.wake() // who looked meanwhile found the trial's place taken
		}
		return false
	}
	if m.share != nil {
		m.share.active.Add(1)
		m.share.total.Add(1)
	}
	return true
}

// takePlace counts a request, unless the backend serves as many as it may. The count is never too high, not even for a
// moment: a request that looked for a place just then would wait although there is one, and nobody would tell it.
func (m *Member) takePlace() bool {
	limit := int64(m.Limit())
	if limit == 0 {
		m.active.Add(1)
		return true
	}
	for {
		n := m.active.Load()
		if n >= limit {
			return false
		}
		if m.active.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

// Release gives back the place taken by [Member.Acquire], and lets a request that waits for one have its turn.
func (m *Member) Release() {
	m.active.Add(-1)
	if m.trial != nil {
		m.trial.Return()
	}
	if m.share != nil {
		m.share.active.Add(-1)
		m.share.total.Add(-1)
	}
	m.queues.wake()
}

// Failed lets the latency average see a failed request as one that took penalty, so that a backend that fails
// fast does not look fast (linkerd2-proxy's load biaser).
func (m *Member) Failed(penalty, now time.Duration) { m.latency.Observe(penalty, now) }

// Load returns how many requests the member's pool has under way on this member, and over all its members.
// Bounded-load policies compare the two.
func (m *Member) Load() (own, total int64) {
	if m.share == nil {
		return 0, 0
	}
	return m.share.active.Load(), m.share.total.Load()
}
