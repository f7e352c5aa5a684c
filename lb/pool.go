package lb

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// ErrNoMembers is returned by [Pool.Update] for an empty set.
var ErrNoMembers = errors.New("a pool needs at least one backend")

// Pool is backends and the policy that picks from them. What it publishes is one immutable [Snapshot]: members
// and pickers change together or not at all.
//
// [Pool.Snapshot] is for the request path. Update and Refresh serialise among themselves and may be called from
// any goroutine.
type Pool struct {
	name    string
	policy  Policy
	options Options

	mu         sync.Mutex
	configured []*Member // as given to Update, canonical order, configured weights
	shares     map[*Backend]*share
	total      atomic.Int64
	generation uint64
	set        uint64      // counts the sets that were given to Update
	ramp       *time.Timer // publishes the next step of slow starts; nil while there are none
	lined      []*Backend  // whose released places wake the queue
	closed     bool

	snapshot atomic.Pointer[Snapshot]
}

// NewPool returns a pool without members; it is of use after its first [Pool.Update].
// Its [Options] are the zero value.
func NewPool(name string, policy Policy) *Pool { return NewPoolWith(name, policy, Options{}) }

// NewPoolWith is [NewPool] with options.
func NewPoolWith(name string, policy Policy, options Options) *Pool {
	p := &Pool{name: name, policy: policy, options: options, shares: make(map[*Backend]*share)}
	p.snapshot.Store(&Snapshot{})
	return p
}

// Options are what the pool was made with.
func (p *Pool) Options() *Options { return &p.options }

// Close ends what the pool does by itself: slow starts stay where they are. Its snapshot may still be used. It may be
// called more than once.
func (p *Pool) Close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return
	}
	p.closed = true
	if p.ramp != nil {
		p.ramp.Stop()
	}
	p.lineUp(nil)
}

// Identify gives the pool the name and the queue that are known only after it was made. Nobody may
// use the pool yet but who updates it.
func (p *Pool) Identify(name string, queue *Queue) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lineUp(nil)
	p.name, p.options.Queue = name, queue
	p.lineUp(p.Snapshot().Members)
}

// Name identifies the pool in logs, metrics and the admin API.
func (p *Pool) Name() string { return p.name }

// Policy is what the pool picks with.
func (p *Pool) Policy() Policy { return p.policy }

// Snapshot is the pool as it stands now. It neither locks nor allocates.
func (p *Pool) Snapshot() *Snapshot { return p.snapshot.Load() }

// Update replaces the members. They are checked (at least one, no backend twice, weights from 0 to
// [MaxWeight]), sorted and published with a new picker in one step; on error nothing changes. The members
// belong to the pool from then on.
func (p *Pool) Update(members []*Member) error {
	if len(members) == 0 {
		return ErrNoMembers
	}
	sorted := slices.Clone(members)
	slices.SortStableFunc(sorted, func(a, b *Member) int { return a.Address().Compare(b.Address()) })
	for i, m := range sorted {
		if m.Weight < 0 || m.Weight > MaxWeight {
			return fmt.Errorf("backend %s: weight %d is not within 0 and %d", m.Address(), m.Weight, MaxWeight)
		}
		if i > 0 && sorted[i-1].Backend == m.Backend {
			return fmt.Errorf("backend %s is in the pool twice", m.Address())
		}
	}

	p.mu.Lock()
	defer p.mu.Unlock()
	p.set++
	if err := p.publish(sorted); err != nil {
		p.set--
		return err
	}
	return nil
}

// Refresh publishes the members again with the health, drains and weight overrides that hold now.
func (p *Pool) Refresh() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.configured) == 0 {
		return nil
	}
	return p.publish(p.configured)
}

// publish builds and stores the snapshot of the configured members. The caller holds p.mu.
func (p *Pool) publish(configured []*Member) error {
	prev := p.Snapshot()
	members, shares := p.effective(configured)

	now := p.options.now()
	honourEjections(members, &p.options)
	noteEntries(prev, members)

	same := slices.EqualFunc(prev.Members, members, func(a, b *Member) bool {
		return a.Backend == b.Backend && a.Weight == b.Weight && a.tier() == b.tier() && a.Position == b.Position
	})
	generation := p.generation
	if !same {
		generation++
	}
	next := &Snapshot{Members: members, Set: p.set}
	for _, group := range byPriority(members) {
		next.ramping = applyRamps(group, &p.options, now) || next.ramping
		next.Tiers = append(next.Tiers, newTier(group, generation))
	}
	spread(next.Tiers, &p.options)
	next.Trials = trials(next.Tiers)
	if err := p.compile(next.Tiers, prev.Tiers); err != nil {
		return err
	}

	admit(members, now)
	p.configured, p.shares, p.generation = configured, shares, generation
	p.snapshot.Store(next)
	p.afterPublish(next)
	return nil
}

// spread gives each tier its load and fills it.
func spread(tiers []*Tier, o *Options) {
	standings := make([]standing, len(tiers))
	for i, t := range tiers {
		standings[i] = t.standing()
	}
	loads, panics := distribute(standings, o.Overprovisioning, o.PanicThreshold)
	for i, t := range tiers {
		t.Load, t.Panic = loads[i], panics[i]
		t.fill()
	}
}

// trials lists the members on trial of tiers up to the last one that has a load: those after it are not needed.
func trials(tiers []*Tier) (found []*Member) {
	needed := 0
	for i, t := range tiers {
		if t.Load > 0 {
			needed = i + 1
		}
	}
	for _, t := range tiers[:needed] {
		for _, m := range t.Selectable {
			if m.trial != nil {
				found = append(found, m)
			}
		}
	}
	return found
}

// compile makes the tiers' pickers.
func (p *Pool) compile(tiers, prev []*Tier) error {
	for _, tier := range tiers {
		var old Picker
		for _, t := range prev {
			if t.Priority == tier.Priority {
				old = t.Picker
			}
		}
		var err error
		if tier.Picker, err = p.policy.NewPicker(tier, old); err != nil {
			return err
		}
	}
	return nil
}

// afterPublish sees to what follows from a snapshot: the next step of slow starts, and requests that wait for a place.
// The caller holds p.mu.
func (p *Pool) afterPublish(s *Snapshot) {
	if p.closed {
		return
	}
	switch {
	case s.ramping && p.ramp == nil:
		p.ramp = time.AfterFunc(p.options.rampStep(), func() {
			// A policy that cannot be built keeps the snapshot as it is; whoever changes the pool next hears of it.
			_ = p.Refresh()
		})
	case s.ramping:
		p.ramp.Reset(p.options.rampStep())
	case p.ramp != nil:
		p.ramp.Stop()
	}
	p.lineUp(s.Members)
	if q := p.options.Queue; q != nil {
		q.Wake()
	}
}

// lineUp has the pool's queue woken by the places that members release, and by those of nobody else. The caller holds p.mu.
func (p *Pool) lineUp(members []*Member) {
	q := p.options.Queue
	if q == nil {
		return
	}
	before := p.lined
	p.lined = make([]*Backend, 0, len(members))
	for _, m := range members {
		m.queues.add(q)
		p.lined = append(p.lined, m.Backend)
	}
	for _, b := range before {
		b.queues.remove(q)
	}
}

// effective copies the configured members, with the weights that hold now and this pool's own counters.
func (p *Pool) effective(configured []*Member) ([]*Member, map[*Backend]*share) {
	members, slab := make([]*Member, len(configured)), make([]Member, len(configured))
	shares := make(map[*Backend]*share, len(configured))
	for i, c := range configured {
		m := &slab[i]
		*m = *c
		m.configured, m.Weight = c.Weight, c.Backend.Weight(c.Weight)
		m.adaptive = p.options.Adaptive
		m.share = p.shares[c.Backend]
		if m.share == nil {
			m.share = &share{total: &p.total}
		}
		shares[c.Backend] = m.share
		members[i] = m
	}
	return members, shares
}

// byPriority splits members, which are in canonical order, into tiers and numbers the members of each.
func byPriority(members []*Member) [][]*Member {
	groups := make(map[int][]*Member)
	for _, m := range members {
		m.index = len(groups[m.tier()])
		groups[m.tier()] = append(groups[m.tier()], m)
	}
	tiers := make([][]*Member, 0, len(groups))
	for _, g := range groups {
		tiers = append(tiers, g)
	}
	slices.SortFunc(tiers, func(a, b []*Member) int { return cmp.Compare(a[0].tier(), b[0].tier()) })
	return tiers
}

// Configured returns the weight that the configuration gives the backend at this address, and whether the
// pool has it.
func (p *Pool) Configured(b *Backend) (weight int, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, m := range p.configured {
		if m.Backend == b {
			return m.Weight, true
		}
	}
	return 0, false
}
