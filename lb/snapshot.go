package lb

import "slices"

// Snapshot is a pool at one moment: its members, which of them may be selected, and the pickers compiled for
// them. It never changes; a pool replaces it.
type Snapshot struct {
	// Members is every member of the pool, in canonical order of their addresses.
	Members []*Member

	// Tiers are the members by priority, lowest number first. A request goes to the first tier whose picker
	// returns a member.
	Tiers []*Tier
}

// Find returns the member with this address as the admin API writes it, or nil.
func (s *Snapshot) Find(address string) *Member {
	i := slices.IndexFunc(s.Members, func(m *Member) bool {
		return m.Address().String() == address || m.Address().ID() == address
	})
	if i < 0 {
		return nil
	}
	return s.Members[i]
}

// Selectable counts the members that may be selected, over all tiers.
func (s *Snapshot) Selectable() int {
	n := 0
	for _, t := range s.Tiers {
		n += len(t.Selectable)
	}
	return n
}

// Pick asks each tier's picker in turn and returns the first member found, or nil.
func (s *Snapshot) Pick(p *Pick) *Member {
	for _, t := range s.Tiers {
		if m := t.Picker.Pick(p); m != nil {
			return m
		}
	}
	return nil
}

// Tier is the members of one priority at one moment.
type Tier struct {
	// Priority is the number all members of the tier were configured with.
	Priority int

	// Members is every member of the tier in canonical order, unavailable ones included. Hash policies build
	// on it, so that a backend that comes and goes moves no keys but its own.
	Members []*Member

	// Selectable is those of Members that may be newly selected, in the same order.
	Selectable []*Member

	// Generation changes whenever Members or a weight does, and stays when only health does.
	Generation uint64

	// Picker is the policy compiled for this tier.
	Picker Picker

	selectable []uint64 // bit i: Members[i] may be newly selected
	serving    []uint64 // bit i: Members[i] is healthy, selectable or not
}

// IsSelectable reports whether the i-th of Members may be newly selected.
func (t *Tier) IsSelectable(i int) bool { return t.selectable[i>>6]&(1<<(i&63)) != 0 }

// IsServing reports whether the i-th of Members is healthy, even if drained: a client that belongs to a
// drained backend may finish there.
func (t *Tier) IsServing(i int) bool { return t.serving[i>>6]&(1<<(i&63)) != 0 }

func newTier(members []*Member, generation uint64) *Tier {
	words := (len(members) + 63) / 64
	t := &Tier{
		Priority:   members[0].Priority,
		Members:    members,
		Generation: generation,
		selectable: make([]uint64, words),
		serving:    make([]uint64, words),
	}
	for i, m := range members {
		if m.Healthy() {
			t.serving[i>>6] |= 1 << (i & 63)
		}
		if m.Selectable() {
			t.selectable[i>>6] |= 1 << (i & 63)
			t.Selectable = append(t.Selectable, m)
		}
	}
	return t
}
