package lb

import "math/rand/v2"

// Policy is a selection algorithm. Implementations are configured once and hold no state about backends.
type Policy interface {
	// NewPicker compiles the policy for one tier as it stands now. It is called off the request path each
	// time the tier changes. prev is the picker this policy made for the same tier before, or nil; when its
	// tier had the same Generation, what was derived from the members and their weights may be taken over.
	// An error leaves the pool as it was.
	NewPicker(tier *Tier, prev Picker) (Picker, error)
}

// Picker picks from the tier it was made for. It is called by many requests at once, must not block, and
// should not allocate.
type Picker interface {
	// Pick returns a member of the tier that is usable and accepted by p, or nil when there is none.
	Pick(p *Pick) *Member
}

// Pick is one request's question to a picker. It belongs to one request and is reused over its tries.
type Pick struct {
	// Key is what hash policies hash. Others ignore it.
	Key string

	// Tried holds the backends that this request has been given already.
	Tried Tried

	// Aside says that the pick is not for a client's request but for a copy of one, as a mirror
	// gets.
	Aside bool
}

// Cursors is how many cursors a picker keeps that goes round its members; see [Pick.Cursor].
const Cursors = 64

// Cursor says which of a picker's cursors the pick moves, from 0 to Cursors-1. Cursor 0 belongs to
// the first tries of requests alone. A retry or a hedge that moved it would take the turn of
// another request: with two backends, one of which always fails, every first try would be given to
// that one.
//
// Further tries have the other cursors, by the backends that the request had before. Those who come
// from one backend are thus spread over all others. On one common cursor, requests that come from
// several backends in turn could move in step, and always meet the same one.
func (p *Pick) Cursor() int {
	if p.Tried.trail == 0 && !p.Aside {
		return 0
	}
	return 1 + int(p.Tried.trail%(Cursors-1))
}

// Accepts reports whether the request can be given to m: it was not tried before and has a free place. That
// the member is usable is the tier's to say.
func (p *Pick) Accepts(m *Member) bool {
	if m.Limited() && m.Full() {
		return false
	}
	return p.Tried.n == 0 || !p.Tried.Has(m.Backend)
}

// point is where in [0, 1) the request stands when tiers share the load: at random, or by its key, so that keys stay
// with their tier as long as the loads do (Envoy does the same).
func (p *Pick) point() float64 {
	if p.Key == "" {
		return rand.Float64()
	}
	h := uint64(14695981039346656037) // FNV-1a
	for i := range len(p.Key) {
		h = (h ^ uint64(p.Key[i])) * 1099511628211
	}
	// The policies of a tier may hash with FNV, too: the finaliser of splitmix64 makes this another number.
	h = (h ^ h>>30) * 0xbf58476d1ce4e5b9
	h = (h ^ h>>27) * 0x94d049bb133111eb
	return float64((h^h>>31)>>11) / (1 << 53)
}

// Tried is a small set of backends. The zero value is empty.
type Tried struct {
	n     int
	first [4]*Backend
	more  []*Backend
	trail uint64 // tells apart what was added, over all resets; 0 until the first backend was
}

// Add puts b into the set.
func (t *Tried) Add(b *Backend) {
	if t.n < len(t.first) {
		t.first[t.n] = b
	} else {
		t.more = append(t.more, b)
	}
	t.n++
	t.trail = max(1, t.trail*31+b.number)
}

// Has reports whether b is in the set.
func (t *Tried) Has(b *Backend) bool {
	for _, x := range t.first[:min(t.n, len(t.first))] {
		if x == b {
			return true
		}
	}
	for _, x := range t.more {
		if x == b {
			return true
		}
	}
	return false
}

// Len is the number of backends added.
func (t *Tried) Len() int { return t.n }

// Reset empties the set. The next try is still not the first: see [Pick.Cursor].
func (t *Tried) Reset() { *t = Tried{more: t.more[:0], trail: t.trail} }
