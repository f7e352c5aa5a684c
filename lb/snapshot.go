package lb

import "slices"

// Snapshot is a pool at one moment: its members, which of them may be selected, and the pickers compiled for
// them. It never changes; a pool replaces it.
type Snapshot struct {
	// Members is every member of the pool, in canonical order of their addresses.
	Members []*Member

	// Set is the number of the set of members that the pool was given: equal for the snapshots of
	// one [Pool.Update].
	Set uint64

	// Tiers are the members by priority, lowest number first; backups are the last of them. A request goes to a tier
	// drawn by load, and when that has no member for it to the first other one that has.
	Tiers []*Tier

	// Trials are the members on trial, of tiers that have a load or that others stand in for. A request that can be tried again elsewhere is best given
	// to one of them first, so that a policy which avoids what has failed does not keep it out for longer.
	Trials []*Member

	ramping bool // a member is in the course of its slow start
}

// Pick asks the tiers' pickers and returns the first member found, or nil.
func (s *Snapshot) Pick(p *Pick) *Member {
	if len(s.Tiers) == 1 {
		return s.Tiers[0].Picker.Pick(p)
	}
	return s.Ask(p, func(t *Tier) *Member { return t.Picker.Pick(p) })
}

// Ask asks the tiers for a member, the one that p is for first and then the others in their order, and returns the
// first member found, or nil. Before it those are asked that it stands in for while their members are on trial: they would
// stay so for ever without requests.
func (s *Snapshot) Ask(p *Pick, ask func(*Tier) *Member) *Member {
	first := 0
	if len(s.Tiers) > 1 {
		first = s.first(p.point())
		for _, t := range s.Tiers[:first] {
			if t.trying {
				if m := ask(t); m != nil {
					return m
				}
			}
		}
		if m := ask(s.Tiers[first]); m != nil {
			return m
		}
	}
	for i, t := range s.Tiers {
		if i == first && len(s.Tiers) > 1 {
			continue
		}
		if m := ask(t); m != nil {
			return m
		}
	}
	return nil
}

// first draws a tier by load. point is a number within [0, 1).
func (s *Snapshot) first(point float64) int {
	for i, t := range s.Tiers {
		if point -= t.Load; point < 0 {
			return i
		}
	}
	return 0
}

// Panicking reports whether a tier uses all its members, whatever their health.
func (s *Snapshot) Panicking() bool {
	return slices.ContainsFunc(s.Tiers, func(t *Tier) bool { return t.Panic })
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

	// Load is the part of the pool's requests that the tier is for, from 0 to 1.
	Load float64

	// Panic is set when so few members are available that all are used, whatever their health.
	Panic bool

	trying     bool     // it has no load, and members on trial
	selectable []uint64 // bit i: Members[i] may be newly selected
	serving    []uint64 // bit i: Members[i] is healthy, selectable or not
}

// IsSelectable reports whether the i-th of Members may be newly selected.
func (t *Tier) IsSelectable(i int) bool { return t.selectable[i>>6]&(1<<(i&63)) != 0 }

// IsServing reports whether the i-th of Members is healthy, even if drained: a client that belongs to a
// drained backend may finish there.
func (t *Tier) IsServing(i int) bool { return t.serving[i>>6]&(1<<(i&63)) != 0 }

// Backup reports whether the tier is that of the members kept for when no other one can serve.
func (t *Tier) Backup() bool { return t.Priority == backupTier }

// standing is the tier's part in the distribution of load, as its members' health has it. A member that is configured with
// weight 0 is not meant to have any; one that an operator took out leaves its part to others.
func (t *Tier) standing() standing {
	st := standing{backup: t.Backup()}
	for _, m := range t.Members {
		if m.configured == 0 && m.Weight == 0 {
			continue
		}
		st.total++
		st.available += count(m.settled)
	}
	return st
}

// newTier makes the tier of members, which are in canonical order.
func newTier(members []*Member, generation uint64) *Tier {
	words := (len(members) + 63) / 64
	return &Tier{
		Priority:   members[0].tier(),
		Members:    members,
		Generation: generation,
		selectable: make([]uint64, words),
		serving:    make([]uint64, words),
	}
}

// fill notes who may be selected. In panic that is everybody who is in rotation.
func (t *Tier) fill() {
	for i, m := range t.Members {
		if t.Panic {
			m.trial = nil
		}
		if t.Panic || m.Healthy() {
			t.serving[i>>6] |= 1 << (i & 63)
		}
		if m.wasSelectable || t.Panic && m.inRotation() {
			t.selectable[i>>6] |= 1 << (i & 63)
			t.Selectable = append(t.Selectable, m)
			t.trying = t.trying || m.trial != nil && t.Load == 0
		}
	}
}
