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

	// MaxRequests bounds the requests served at once; 0 is no bound.
	MaxRequests int

	// ServerName overrides the name used in TLS for this member; empty leaves it to the transport.
	ServerName string

	// Position is the member's place in the configuration, counted from 0. Policies whose meaning depends on
	// the order written use it; the addresses of one name share it.
	Position int

	// Conditions all have to be healthy for the member to serve.
	Conditions []Condition

	index int
	share *share
}

// share counts what one pool itself has under way on a backend; it is kept when the pool's members change.
type share struct {
	active atomic.Int64
	total  *atomic.Int64
}

// Index is the member's place in [Tier.Members] of its tier.
func (m *Member) Index() int { return m.index }

// Healthy reports whether every condition lets the member serve.
func (m *Member) Healthy() bool {
	return !slices.ContainsFunc(m.Conditions, func(c Condition) bool { return !c.Healthy() })
}

// Selectable reports whether the member may be newly selected: healthy, of a weight above 0 and not drained.
func (m *Member) Selectable() bool { return m.Weight > 0 && !m.Drained() && m.Healthy() }

// Full reports whether the member serves as many requests as it may.
func (m *Member) Full() bool {
	return m.MaxRequests > 0 && m.active.Load() >= int64(m.MaxRequests)
}

// Acquire takes one of the member's places for a request and counts it. It returns false, having counted
// nothing, when all places are taken: [Member.Full] may have changed since the pick. Every successful call is
// followed by exactly one [Member.Release].
func (m *Member) Acquire() bool {
	n := m.active.Add(1)
	if m.MaxRequests > 0 && n > int64(m.MaxRequests) {
		m.active.Add(-1)
		return false
	}
	if m.share != nil {
		m.share.active.Add(1)
		m.share.total.Add(1)
	}
	return true
}

// Release gives back the place taken by [Member.Acquire].
func (m *Member) Release() {
	m.active.Add(-1)
	if m.share != nil {
		m.share.active.Add(-1)
		m.share.total.Add(-1)
	}
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
