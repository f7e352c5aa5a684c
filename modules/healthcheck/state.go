package healthcheck

import (
	"time"

	"github.com/caddylb/caddy-lb/lb"
)

// state is what a monitor has found out.
type state struct {
	health   lb.Health
	since    time.Time // of the state
	reason   error     // of the last change to down
	seeded   bool      // taken over from a relative
	passes   uint64
	failures uint64

	lastCheck    time.Time
	lastDuration time.Duration
	lastError    error
}

// Status is a monitor's state at one moment, for people to look at.
type Status struct {
	// Kind is the check, "http" for example.
	Kind string `json:"kind"`

	// Healthy is the state, and Since when it began.
	Healthy bool      `json:"healthy"`
	Since   time.Time `json:"since"`

	// Reason is the failure that took the backend down the last time; empty if none did. It stays after a
	// recovery, as an answer to what had happened.
	Reason string `json:"reason,omitempty"`

	// LastCheck is when the latest check began, zero before the first; LastDuration is how long it took and
	// LastError why it failed, empty if it passed.
	LastCheck    time.Time     `json:"last_check,omitzero"`
	LastDuration time.Duration `json:"last_duration,omitempty"`
	LastError    string        `json:"last_error,omitempty"`

	// Passes and Failures count results since the monitor came to be.
	Passes   uint64 `json:"passes"`
	Failures uint64 `json:"failures"`

	// Streak counts the latest results in a row that contradict the state.
	Streak int `json:"streak,omitempty"`
}

// Status returns the state at this moment.
func (m *Monitor) Status() Status {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := &m.state
	return Status{
		Kind:         m.kind,
		Healthy:      s.health.Up,
		Since:        s.since,
		Reason:       message(s.reason),
		LastCheck:    s.lastCheck,
		LastDuration: s.lastDuration,
		LastError:    message(s.lastError),
		Passes:       s.passes,
		Failures:     s.failures,
		Streak:       s.health.Streak,
	}
}

// message is the text of err, empty for nil.
func message(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// known returns the state, and whether it rests on results rather than on what was assumed at first.
func (m *Monitor) known() (state, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.state, m.state.seeded || m.state.passes+m.state.failures > 0
}

// inherit takes over another monitor's state, unless there is a result of its own.
func (m *Monitor) inherit(from state) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.state.passes+m.state.failures > 0 {
		return
	}
	m.state.health = from.health
	m.state.since, m.state.reason = from.since, from.reason
	m.state.seeded = true
	m.up.Store(from.health.Up)
}

// outcome is one result and what it did to the state.
type outcome struct {
	started  time.Time
	duration time.Duration
	err      error

	flipped   bool
	confirmed bool // a first failure, of a backend that was assumed to be down
	streak    int  // results in a row, if they made it flip
}

// record takes one result into the state. threshold, if above 0, is how many such results in a row change it.
func (m *Monitor) record(o *outcome, threshold int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := &m.state
	first := !s.seeded && s.passes+s.failures == 0
	s.lastCheck, s.lastDuration, s.lastError = o.started, o.duration, o.err
	rise, fall := m.rise, m.fall
	if threshold > 0 {
		rise, fall = threshold, threshold
	}
	if first && m.initial == InitialCheck {
		rise = 1
	}
	if o.err == nil {
		s.passes++
	} else {
		s.failures++
	}
	o.streak = s.health.Streak + 1
	o.flipped = s.health.Observe(o.err == nil, rise, fall)
	o.confirmed = first && o.err != nil && !s.health.Up && !o.flipped
	if o.err != nil && (o.flipped || o.confirmed) {
		s.reason = o.err
	}
	if o.flipped {
		s.since = o.started.Add(o.duration)
		m.up.Store(s.health.Up)
	}
	m.closeFirst()
}

// closeFirst tells those who wait for a first result. The caller holds m.mu.
func (m *Monitor) closeFirst() {
	select {
	case <-m.first:
	default:
		close(m.first)
	}
}
