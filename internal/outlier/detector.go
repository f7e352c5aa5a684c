// Package outlier takes hosts out of service that do worse than they should or than their peers do, judged by the requests they get:
// outlier detection as in Envoy (outlier_detection.proto), with a half-open trial at the end of each ejection, and a rule on latency.
//
// What is known of a backend stands in a [Host], which configurations share. A [Detector] is one pool's configuration over its hosts: it
// is told of every try, ejects hosts at once for failures in a row, and compares hosts with each other at intervals.
//
// A host that is ejected is out for a time that grows with each ejection. When that is over, or an active check passed, it is on trial: one
// request at a time, and the first that succeeds brings it in, the first that fails sends it out again, for longer.
package outlier

import (
	"fmt"
	"sync"
	"time"

	"github.com/caddylb/caddy-lb/lb"
)

// Detector is outlier detection of one pool's configuration. All methods are safe for concurrent use.
type Detector struct {
	config Config
	limits [ConnectFailure + 1]int // of failures in a row, by kind
	notify func(h *Host, e Event)

	mu      sync.Mutex // taken before transitions
	hosts   map[*Host]*window
	done    chan struct{} // ends the comparisons
	started bool
	stopped bool
}

// New returns a detector without hosts. notify, which may be nil, is called for each event, on the goroutine that caused it and without
// locks held: that is the one that called Observe, or the detector's own. A change is made, and told to the host's subscribers, before.
func New(c Config, notify func(h *Host, e Event)) *Detector {
	c = c.withDefaults()
	if notify == nil {
		notify = func(*Host, Event) {}
	}
	return &Detector{
		config: c,
		limits: [...]int{ServerError: c.Consecutive5xx, GatewayError: c.ConsecutiveGateway, ConnectFailure: c.ConsecutiveConnect},
		notify: notify,
		hosts:  make(map[*Host]*window),
		done:   make(chan struct{}),
	}
}

// Add takes a host into the pool, until it was removed as often as it was added: whoever takes it over within the pool adds it before it is
// removed. What it did before the first time does not count in comparisons.
func (d *Detector) Add(h *Host) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.hosts[h] == nil {
		d.hosts[h] = &window{state: h.state.Load(), seen: h.record()}
	}
	d.hosts[h].users++
}

// Remove takes back one [Detector.Add], and the host from the pool with the last of them. An ejection lasts as long as it would have.
func (d *Detector) Remove(h *Host) {
	d.mu.Lock()
	defer d.mu.Unlock()
	w := d.hosts[h]
	if w == nil {
		return
	}
	if w.users--; w.users == 0 {
		delete(d.hosts, h)
	}
}

// Start begins to compare the hosts at intervals, in one goroutine. It does so once; after Stop, to no effect.
func (d *Detector) Start() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.started {
		d.started = true
		go d.run()
	}
}

// Stop ends the comparisons; one that is under way may be finished after it returned, as Stop does not wait for the functions that are
// told of events. What is observed later still counts for the hosts, as requests of a replaced configuration do. Stop may be called more than
// once, and without Start.
func (d *Detector) Stop() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.stopped {
		d.stopped = true
		close(d.done)
	}
}

// Observe takes the outcome of one try at a host. Unless the host's state changes by it, it neither locks nor allocates.
func (d *Detector) Observe(h *Host, o Outcome) {
	st := h.state.Load()
	switch {
	case o.Kind == Ignored || st.phase == Out || o.Began < st.since:
		// It says nothing of the host as it is since then.
	case st.phase == Trial:
		d.settle(h, st, o)
	case o.Kind == Success:
		h.latencies.Observe(o.Latency)
		h.streaks.clear()
	default:
		h.failures.Add(1)
		if kind, ok := h.streaks.fail(o.Kind, &d.limits); ok {
			d.mu.Lock()
			event, ok := d.decide(h, st, consecutive(kind, d.limits[kind]))
			d.mu.Unlock()
			if ok {
				d.tell(h, event)
			}
		}
	}
}

// settle ends a host's trial by the outcome of its request.
func (d *Detector) settle(h *Host, st *state, o Outcome) {
	event := Event{Kind: Returned, Rule: st.last.rule, Reason: st.last.reason, Times: st.times}
	end := func() { h.admit(st) }
	if why := failedTrial(st, o); why != "" {
		end = func() {
			event = ejection(h.eject(&d.config, verdict{rule: RuleTrial, reason: why}))
		}
	}
	if h.change(st, end) {
		d.notify(h, event)
	}
}

// failedTrial is why the outcome of a trial's request sends the host out again; empty if it does not.
func failedTrial(st *state, o Outcome) string {
	switch {
	case o.Kind == ConnectFailure:
		return "on trial: connect failure"
	case o.Kind == GatewayError:
		return "on trial: gateway failure"
	case o.Kind == ServerError:
		return "on trial: 5xx"
	case st.last.slow > 0 && o.Latency > st.last.slow:
		return fmt.Sprintf("on trial: latency %s, limit %s", rounded(o.Latency), rounded(st.last.slow))
	}
	return ""
}

// decide takes a host out that was found to be an outlier in a state, if it is in that still and the share of the ejected allows. ok is
// false if there is nothing to tell. The caller holds d.mu, and tells of the event without it.
func (d *Detector) decide(h *Host, in *state, v verdict) (e Event, ok bool) {
	if d.hosts[h] == nil {
		return Event{}, false // removed meanwhile
	}
	transitions.Lock()
	defer transitions.Unlock()
	if h.closed || h.state.Load() != in {
		return Event{}, false
	}
	away := 0
	for other := range d.hosts {
		if other.state.Load().phase != In {
			away++
		}
	}
	if away >= lb.EjectionLimit(len(d.hosts), d.config.MaxEjectionPercent, d.config.AlwaysEjectOne) {
		return Event{Kind: Overflow, Rule: v.rule, Reason: v.reason, Times: in.timesAt(h.now())}, true
	}
	return ejection(h.eject(&d.config, v)), true
}

// tell tells of what decide did.
func (d *Detector) tell(h *Host, e Event) {
	if e.Kind == Ejected {
		h.tell()
	}
	d.notify(h, e)
}

// ejection is the event by which a host came into a state.
func ejection(st *state) Event {
	return Event{Kind: Ejected, Rule: st.last.rule, Reason: st.last.reason, Times: st.times, Until: st.until}
}

// rounded leaves two digits of a duration: a [lb.Histogram] knows no more.
func rounded(d time.Duration) time.Duration {
	for unit := time.Second; unit > time.Nanosecond; unit /= 10 {
		if d >= 10*unit {
			return d.Round(unit)
		}
	}
	return d
}
