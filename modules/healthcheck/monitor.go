package healthcheck

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddylb/caddy-lb/lb"
)

// Monitor runs one check on one backend and knows the outcome. It belongs to the backend's address, its name
// and the check's definition, not to a configuration: every pool that checks the same backend in the same way
// shares it, and a reload finds it as it was.
//
// Its life is [Acquire], any number of [Monitor.Attach], and one [Monitor.Release] for each Acquire. All
// methods are safe for concurrent use. Healthy is one atomic load.
type Monitor struct {
	id     identity
	kind   string
	module string
	target Target

	interval, intervalUnhealthy, timeout time.Duration
	rise, fall                           int
	jitter                               float64
	initial                              string

	up    atomic.Bool
	wake  chan struct{} // holds a value when a check was asked for
	first chan struct{} // closed after the first result

	// lifecycle serialises Attach and Release, which start and stop the goroutine. It is taken before the
	// other two.
	lifecycle sync.Mutex
	cancel    context.CancelFunc // nil while no goroutine runs
	done      chan struct{}

	// calling is held while subscribers are called, so that Release can promise that none is called any more.
	calling sync.Mutex

	mu    sync.Mutex // guards what follows; never held while calling out
	stack []*Subscription
	state state
	next  time.Time       // when the next check is due; zero: at once
	late  <-chan struct{} // closed when a check that outlived its timeout has returned
}

// Subscription is one pool's interest in a [Monitor], within one configuration.
type Subscription struct {
	// Config is the configuration's own instance of the check, provisioned. The newest subscription's is used.
	Config *Config

	// Gate lets one check through at a time. It is shared by a pool's subscriptions when its checks are
	// sequential, and nil otherwise.
	Gate *Gate

	// Group tells who the news is for, the pool's name for example. Of the subscriptions of one group only the
	// newest is called with [Change.Latest] set.
	Group string

	// OnChange is called after each change of state, when [Monitor.Healthy] already tells the new one. It is
	// called from the monitor's goroutine, which waits for it; it must not attach or release a monitor. May
	// be nil.
	OnChange func(Change)

	// OnConfirm is called after a first result that failed, of a backend that was assumed to be
	// down, on the same terms: it is down still, but now there is a reason. May be nil.
	OnConfirm func()

	// OnPass is called after each check that passed, with the time at which it began, on the same terms. May be nil.
	OnPass func(began time.Time)
}

// Change is a change of state.
type Change struct {
	// Healthy is the new state.
	Healthy bool

	// Reason is the failure that took the backend down; nil on recovery.
	Reason error

	// At is when the result was known.
	At time.Time

	// Latest is set for the newest subscription of a group. During a reload, when the old and the new
	// configuration are both attached, only one of them announces the change.
	Latest bool
}

// newMonitor returns a monitor that has seen nothing; c is provisioned.
func newMonitor(id identity, c *Config, t Target, now time.Time) *Monitor {
	if t.Backend == (lb.Address{}) {
		t.Backend = t.Address
	}
	m := &Monitor{
		id:                id,
		kind:              c.kind,
		module:            c.module,
		target:            t,
		interval:          time.Duration(c.Interval),
		intervalUnhealthy: time.Duration(c.IntervalUnhealthy),
		timeout:           time.Duration(c.Timeout),
		rise:              c.ConsecutiveSuccess,
		fall:              c.ConsecutiveFailure,
		jitter:            max(c.Jitter, 0),
		initial:           c.Initial,
		wake:              make(chan struct{}, 1),
		first:             make(chan struct{}),
	}
	m.state.health.Up = c.Initial == InitialHealthy
	m.state.since = now
	m.up.Store(m.state.health.Up)
	return m
}

// Healthy reports whether the backend passes the check. It implements [lb.Condition].
func (m *Monitor) Healthy() bool { return m.up.Load() }

// Known reports whether the state rests on results rather than on what was assumed at first.
func (m *Monitor) Known() bool {
	_, known := m.known()
	return known
}

// Target is the backend as it is checked.
func (m *Monitor) Target() Target { return m.target }

// FirstResult returns a channel that is closed after the first result, passed or failed, of the monitor's life.
func (m *Monitor) FirstResult() <-chan struct{} { return m.first }

// CheckNow asks for a check as soon as the one under way, if any, has ended. Several calls before it starts
// are one. Before the first Attach it has no effect of its own, since a first check follows at once.
func (m *Monitor) CheckNow() {
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

// Attach subscribes s. The first subscription starts the checks, with one at once; a later one takes over,
// with its own Checker, the schedule that runs. Changes from before Attach are not told: attach, then look at
// Healthy.
func (m *Monitor) Attach(s *Subscription) {
	m.lifecycle.Lock()
	defer m.lifecycle.Unlock()

	m.mu.Lock()
	fresh := !slices.Contains(m.stack, s)
	if fresh {
		m.stack = append(m.stack, s)
	}
	m.mu.Unlock()

	if m.cancel != nil || !fresh {
		return
	}
	m.seed()
	var ctx context.Context
	ctx, m.cancel = context.WithCancel(context.Background())
	m.done = make(chan struct{})
	go m.run(ctx, m.done)
}

// Release gives back what one [Acquire] took, and unsubscribes s if it was attached; s may be nil. When it
// returns, s is not called any more: it waits for a call under way, so the caller must hold no lock that
// OnChange takes. If s was the newest, the one attached before it continues. The last Release ends the checks.
func (m *Monitor) Release(s *Subscription) {
	if s != nil {
		m.detach(s)
	}
	// The error is that of Destruct, which has none.
	_, _ = monitors.Delete(m.id)
}

// detach unsubscribes s and stops the goroutine when it was the last.
func (m *Monitor) detach(s *Subscription) {
	m.lifecycle.Lock()
	defer m.lifecycle.Unlock()

	m.calling.Lock()
	m.mu.Lock()
	m.stack = slices.DeleteFunc(m.stack, func(o *Subscription) bool { return o == s })
	idle := len(m.stack) == 0
	m.mu.Unlock()
	m.calling.Unlock()

	if idle {
		m.halt()
	}
}

// Destruct ends the monitor's life when its last reference is gone. It is called by the pool that holds it.
func (m *Monitor) Destruct() error {
	forget(m)
	m.lifecycle.Lock()
	defer m.lifecycle.Unlock()
	m.halt()
	return nil
}

// halt ends the goroutine, if there is one, and waits for it. A check under way is cancelled, and what it
// returns is ignored. The caller holds m.lifecycle.
func (m *Monitor) halt() {
	if m.cancel == nil {
		return
	}
	m.cancel()
	<-m.done
	m.cancel, m.done = nil, nil
}

// newest returns the subscription whose checker is used, nil when there is none.
func (m *Monitor) newest() *Subscription {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.stack) == 0 {
		return nil
	}
	return m.stack[len(m.stack)-1]
}

// Interface guards.
var (
	_ lb.Condition     = (*Monitor)(nil)
	_ caddy.Destructor = (*Monitor)(nil)
)
