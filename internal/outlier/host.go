package outlier

import (
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddylb/caddy-lb/lb"
)

// transitions guards every change of any host's state. Changes are rare; to decide on them one at a time in the whole process is what
// keeps two detectors over the same hosts, as there are during a reload, from both giving the last place among the ejected away.
var transitions sync.Mutex

// Phase is where a host stands.
type Phase int

const (
	// In takes requests as any other.
	In Phase = iota

	// Out takes none.
	Out

	// Trial takes one request at a time, until one succeeds or fails (a half-open circuit breaker).
	Trial
)

// String is the phase as it stands in the admin API.
func (p Phase) String() string { return [...]string{"in", "out", "trial"}[p] }

// Host is what is known of one backend. It outlives configurations: every [Detector] over the backend shares it, so that a reload
// forgets neither ejections nor failures in a row.
//
// All methods are safe for concurrent use. It implements [lb.Ejection].
type Host struct {
	now     func() time.Duration
	state   atomic.Pointer[state]
	streaks streaks

	// Totals of the time that the host was in. They only grow, and each detector remembers what it saw last. Every successful request is
	// one of the latencies.
	failures  atomic.Uint64
	latencies lb.Histogram

	// Guarded by transitions.
	timer     *time.Timer // ends the time out
	closed    bool
	ejections uint64
	watchers  map[*func()]struct{}
}

// state is where a host stands and how it came there. It does not change, but for the trial's place.
type state struct {
	phase Phase
	since time.Duration
	until time.Duration // of Out
	last  verdict       // of the latest ejection

	times    int           // ejections in a row, as of since
	interval time.Duration // in which one of them is forgiven, while the host is in

	// early says that the trial is owed to a check, or that such a trial failed and checks are not believed any more.
	early bool

	start record      // of In after a return: the totals then
	taken atomic.Bool // of Trial: its request is under way
}

// record is a host's totals at a time, or in the time between two.
type record struct {
	failures  uint64
	latencies lb.Counts
}

// NewHost returns a host of which nothing is known: it is in. now is the clock of all its times, [lb.Monotonic] outside of tests. Its owner
// calls [Host.Close] when nobody uses it any more.
func NewHost(now func() time.Duration) *Host {
	h := &Host{now: now, watchers: make(map[*func()]struct{})}
	h.state.Store(new(state))
	return h
}

// Ejected reports whether the host is out, and since when.
func (h *Host) Ejected() (since time.Duration, out bool) {
	st := h.state.Load()
	return st.since, st.phase == Out
}

// OnTrial reports whether the host's time out is over and no request succeeded since.
func (h *Host) OnTrial() bool { return h.state.Load().phase == Trial }

// Trial is the trial that the host is on; nil if it is not.
func (h *Host) Trial() lb.Trial {
	if st := h.state.Load(); st.phase == Trial {
		return trial{h, st}
	}
	return nil
}

// trial is one trial of a host. When it is over, a host that is in has place for all, and one that is out, or on another trial, for nobody
// who knows of this one only.
type trial struct {
	host  *Host
	state *state
}

// Take implements [lb.Trial].
func (t trial) Take() bool {
	if st := t.host.state.Load(); st != t.state {
		return st.phase == In
	}
	return t.state.taken.CompareAndSwap(false, true)
}

// Return implements [lb.Trial], after the request was observed.
func (t trial) Return() { t.state.taken.Store(false) }

// Taken implements [lb.Trial]: whether Take would fail.
func (t trial) Taken() bool {
	if st := t.host.state.Load(); st != t.state {
		return st.phase != In
	}
	return t.state.taken.Load()
}

// Subscribe has onChange called after each change of Ejected and OnTrial, on the goroutine that made it and without locks held. It is not
// called any more once cancel returned, except for a change that was under way.
func (h *Host) Subscribe(onChange func()) (cancel func()) {
	transitions.Lock()
	defer transitions.Unlock()
	h.watchers[&onChange] = struct{}{}
	return func() {
		transitions.Lock()
		defer transitions.Unlock()
		delete(h.watchers, &onChange)
	}
}

// CheckPassed says that an active check, which began at a time on the host's clock, found nothing wrong. If it began after the host was
// ejected, the host goes on trial at once. A check knows nothing of a host's speed next to its peers', and where requests fail although
// the check passes it knows too little: hosts that are out for latency, or failed a trial that a check gave them, serve their time.
func (h *Host) CheckPassed(began time.Duration) {
	st := h.state.Load()
	if st.phase == Out && began >= st.since && !st.early && st.last.slow == 0 {
		h.change(st, func() { h.tryOut(st, true) })
	}
}

// Status is a host's standing for people. Times are on the host's clock.
type Status struct {
	Phase Phase

	// Since is when the phase began; 0 for a host that was never out.
	Since time.Duration

	// Until is when the time out ends; 0 for a host that is not out.
	Until time.Duration

	// Times is how many ejections in a row, less those forgiven, the next one adds to: the next time out is longer by as many times.
	Times int

	// Rule and Reason of the latest ejection, as in [Event]; they are kept after the return.
	Rule, Reason string

	// Ejections is how often the host was ejected in all.
	Ejections uint64
}

// Status is where the host stands now.
func (h *Host) Status() Status {
	transitions.Lock()
	defer transitions.Unlock()
	st := h.state.Load()
	return Status{
		Phase: st.phase, Since: st.since, Until: st.until, Times: st.timesAt(h.now()),
		Rule: st.last.rule, Reason: st.last.reason, Ejections: h.ejections,
	}
}

// Close stops the host's timer. The host does not change any more. Close may be called more than once.
func (h *Host) Close() {
	transitions.Lock()
	defer transitions.Unlock()
	h.closed = true
	h.stopTimer()
}

// timesAt is the number of ejections in a row, less one for each interval that the host was in without a break.
func (st *state) timesAt(now time.Duration) int {
	if st.phase != In || st.times == 0 {
		return st.times
	}
	return max(0, st.times-int((now-st.since)/st.interval))
}

// record is the host's totals now.
func (h *Host) record() record { return record{h.failures.Load(), h.latencies.Snapshot()} }

// change makes a change, unless the host left the state that it was decided in, and tells the watchers.
func (h *Host) change(from *state, f func()) (changed bool) {
	transitions.Lock()
	if h.closed || h.state.Load() != from {
		transitions.Unlock()
		return false
	}
	f()
	transitions.Unlock()
	h.tell()
	return true
}

// tell calls the watchers. The caller holds no lock.
func (h *Host) tell() {
	transitions.Lock()
	watchers := slices.Collect(maps.Keys(h.watchers))
	transitions.Unlock()
	for _, w := range watchers {
		(*w)()
	}
}

// eject takes the host out, in or on trial before. The caller holds transitions.
func (h *Host) eject(c *Config, v verdict) *state {
	from, now := h.state.Load(), h.now()
	times := c.oneMore(from.timesAt(now))
	if from.phase == Trial {
		v.slow = from.last.slow // it has still to show that it is as fast as the others
	}
	st := &state{
		phase: Out, since: now, until: now + c.timeOut(times), last: v, times: times, interval: c.Interval,
		early: from.phase == Trial && from.early,
	}
	h.ejections++
	h.enter(st)
	h.timer = time.AfterFunc(st.until-now, func() { h.change(st, func() { h.tryOut(st, false) }) })
	return st
}

// tryOut puts a host that is out on trial. The caller holds transitions.
func (h *Host) tryOut(from *state, early bool) {
	h.enter(&state{phase: Trial, since: h.now(), last: from.last, times: from.times, interval: from.interval, early: early})
}

// admit brings a host in from its trial. The caller holds transitions.
func (h *Host) admit(from *state) {
	h.enter(&state{since: h.now(), last: from.last, times: from.times, interval: from.interval, start: h.record()})
}

// enter makes st the host's state. What was counted in a row belongs to the one before. The caller holds transitions.
func (h *Host) enter(st *state) {
	h.stopTimer()
	h.state.Store(st)
	h.streaks.clear()
}

func (h *Host) stopTimer() {
	if h.timer != nil {
		h.timer.Stop()
		h.timer = nil
	}
}

var _ lb.Ejection = (*Host)(nil)
