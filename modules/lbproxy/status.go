package lbproxy

import (
	"fmt"
	"strings"
	"time"

	"github.com/caddylb/caddy-lb/internal/outlier"
	"github.com/caddylb/caddy-lb/lb"
)

// PoolStatus is a pool as the admin API shows it.
type PoolStatus struct {
	Name      string          `json:"name"`
	Anonymous bool            `json:"anonymous"`
	Sites     []SiteStatus    `json:"sites,omitempty"`
	Policy    string          `json:"policy"`
	Available int             `json:"available"`
	Tiers     []TierStatus    `json:"tiers,omitempty"`
	Queued    int             `json:"queued,omitempty"`
	Backends  []BackendStatus `json:"backends"`
	Lookups   []LookupStatus  `json:"lookups,omitempty"`
}

// TierStatus is a tier of a pool that has several, or is in panic. Backups are the last tier, of priority -1.
type TierStatus struct {
	Priority  int     `json:"priority"`
	Available int     `json:"available"`
	Backends  int     `json:"backends"`
	Load      float64 `json:"load"`
	Panic     bool    `json:"panic,omitempty"`
}

// LookupStatus is a host name of a pool with update_frequency.
type LookupStatus struct {
	Name       string    `json:"name"`
	Addresses  []string  `json:"addresses"`
	LastAnswer time.Time `json:"last_answer"`
	Failures   uint64    `json:"failures"`
}

// BackendStatus is a backend as the admin API shows it.
type BackendStatus struct {
	Address  string `json:"address"`
	Scheme   string `json:"scheme"`
	Name     string `json:"name,omitempty"`
	Weight   int    `json:"weight"`
	Priority int    `json:"priority"`

	// State is "up", "down", "ejected", "trial" or "drained", Reason why it is not up, and Since when that began. A backend
	// on trial is back for one request at a time.
	State  string    `json:"state"`
	Reason string    `json:"reason,omitempty"`
	Since  time.Time `json:"since"`

	// Configured is the configured weight while an operator's order holds instead of it.
	Configured *int `json:"configured_weight,omitempty"`

	// Unreachable is why the latest request could not connect; empty since one was answered.
	Unreachable string `json:"unreachable,omitempty"`

	// Active is the requests under way over all pools, Requests and Failures are this pool's totals.
	Active      int           `json:"active"`
	MaxRequests int           `json:"max_requests,omitempty"`
	Requests    uint64        `json:"requests"`
	Failures    uint64        `json:"failures"`
	LatencyMs   float64       `json:"latency_ms,omitempty"` // running average of this pool's times to first byte
	Checks      []CheckStatus `json:"checks,omitempty"`
	Fails       int           `json:"passive_fails,omitempty"`

	// Backup is set for a backend that serves only when no other can.
	Backup bool `json:"backup,omitempty"`

	// Outlier is what outlier detection has to say; nil when it is not configured.
	Outlier *OutlierStatus `json:"outlier,omitempty"`

	// Warmth is the part of its weight that a backend has which starts slowly; left out when it has all of it.
	Warmth float64 `json:"warmth,omitempty"`

	// Limit is the number of concurrent requests that adaptive_concurrency has found.
	Limit int `json:"concurrency_limit,omitempty"`

	// Empty is set when a drained backend serves nobody any more.
	Empty bool `json:"empty,omitempty"`
}

// OutlierStatus is what outlier detection knows of a backend. Times is how many ejections in a row there were lately, by which
// the next one is longer; Until is when an ejection ends.
type OutlierStatus struct {
	Ejected   bool       `json:"ejected"`
	Reason    string     `json:"reason,omitempty"`
	Until     *time.Time `json:"until,omitempty"`
	Times     int        `json:"times,omitempty"`
	Ejections uint64     `json:"ejections,omitempty"`
}

// CheckStatus is one active check of a backend. LastCheck is the zero time before the first one ended.
type CheckStatus struct {
	Kind           string    `json:"kind"`
	Healthy        bool      `json:"healthy"`
	Since          time.Time `json:"since"`
	LastCheck      time.Time `json:"last_check"`
	LastDurationMs float64   `json:"last_duration_ms"`
	LastError      string    `json:"last_error,omitempty"`
	Passes         uint64    `json:"passes"`
	Failures       uint64    `json:"failures"`
}

// The states of a backend.
const (
	stateUp      = "up"
	stateDown    = "down"
	stateDrained = "drained"
	stateEjected = "ejected"
	stateTrial   = "trial"
)

// status describes the pool as it stands.
func (p *pool) status() PoolStatus {
	s := p.Snapshot()
	out := PoolStatus{Name: p.Name(), Anonymous: p.anonymous, Policy: p.policyName(), Available: s.Selectable(), Backends: []BackendStatus{}}
	out.Queued = p.state.queue.Len()
	out.Tiers = tierStatus(s)
	out.Sites = p.usedBy()
	shown := p.shown()
	for _, m := range shown {
		out.Backends = append(out.Backends, m.pool.backendStatus(m.entry, m.Member))
	}
	if len(shown) > len(s.Members) { // there are further views
		out.Available = 0
		for _, m := range shown {
			if m.Selectable() {
				out.Available++
			}
		}
	}
	for _, l := range p.lookups {
		ls := LookupStatus{Name: l.name, Failures: l.state.failures.Load()}
		if last := l.state.last.Load(); last != nil {
			ls.LastAnswer = last.at
			for _, a := range last.addresses {
				ls.Addresses = append(ls.Addresses, a.String())
			}
		}
		out.Lookups = append(out.Lookups, ls)
	}
	return out
}

// status describes one backend as it stands.
func (e *entry) status(m *lb.Member) BackendStatus {
	out := BackendStatus{
		Address: m.Address().String(), Scheme: m.Address().Scheme, Name: m.Name,
		Weight: m.Weight, Priority: m.Priority, MaxRequests: m.MaxRequests,
		State: stateUp, Since: m.Since(), Active: m.Active(),
		Requests: e.stats.requests(), Failures: e.stats.failures.Load(),
	}
	if average, ok := e.stats.average.Last(); ok {
		out.LatencyMs = milliseconds(average)
	}
	var reasons []string
	for _, w := range e.watches {
		s := w.monitor.Status()
		out.Checks = append(out.Checks, CheckStatus{
			Kind: s.Kind, Healthy: s.Healthy, Since: s.Since, LastCheck: s.LastCheck,
			LastDurationMs: milliseconds(s.LastDuration), LastError: s.LastError, Passes: s.Passes, Failures: s.Failures,
		})
		if s.Since.After(out.Since) {
			out.Since = s.Since
		}
		if !s.Healthy {
			reasons = append(reasons, s.Kind+" check: "+s.Reason)
		}
	}
	if e.passive != nil {
		out.Fails = e.passive.Fails()
		if !e.passive.Healthy() {
			reasons = append(reasons, fmt.Sprintf("%d failed requests", out.Fails))
		}
	}
	if drained := m.DrainedSince(); drained.After(out.Since) {
		out.Since = drained
	}
	switch {
	case len(reasons) > 0:
		out.State, out.Reason = stateDown, strings.Join(reasons, "; ")
	case e.outlierStatus(&out, m):
	case m.Drained():
		out.State, out.Reason = stateDrained, "drained by an operator"
	case m.Weight == 0:
		out.State, out.Reason = stateDrained, "weight 0"
	}
	return out
}

// backendStatus describes one backend of the pool as it stands.
func (p *pool) backendStatus(e *entry, m *lb.Member) BackendStatus {
	out := e.status(m)
	out.Backup = m.Backup
	if configured := m.ConfiguredWeight(); configured != m.Weight {
		out.Configured = &configured
	}
	if o := e.stats.reach.outage.Load(); o != nil {
		out.Unreachable = o.reason
	}
	if warmth := m.Warmth(); warmth < 1 {
		out.Warmth = warmth
	}
	if limits := p.Options().Adaptive; limits != nil {
		out.Limit = m.AdaptiveLimit().Limit(limits)
	}
	out.Empty = (m.Drained() || m.Weight == 0) && p.drainedEmpty(m)
	return out
}

// outlierStatus fills in what outlier detection says, and reports whether that is the backend's state.
func (e *entry) outlierStatus(out *BackendStatus, m *lb.Member) bool {
	if e.outlier == nil {
		return false
	}
	s := e.outlier.Status()
	out.Outlier = &OutlierStatus{Ejected: m.EjectedNow(), Reason: s.Reason, Times: s.Times, Ejections: s.Ejections}
	since := atMonotonic(s.Since)
	switch {
	case m.EjectedNow():
		until := atMonotonic(s.Until)
		out.Outlier.Until = &until
		out.State, out.Reason, out.Since = stateEjected, s.Reason, since
	case s.Phase == outlier.Trial && m.OnTrialNow():
		out.State, out.Reason, out.Since = stateTrial, s.Reason, since
	default:
		return false
	}
	return true
}

// atMonotonic is a time on the clock of lb.Monotonic as one of the calendar.
func atMonotonic(t time.Duration) time.Time {
	return time.Now().Add(t - lb.Monotonic()).Round(time.Millisecond)
}

// shownPriority is a tier's priority as users see it: -1 for backups.
func shownPriority(t *lb.Tier) int {
	if t.Backup() {
		return -1
	}
	return t.Priority
}

// tierStatus describes the tiers, if there is something to say about them.
func tierStatus(s *lb.Snapshot) []TierStatus {
	if len(s.Tiers) < 2 && !s.Panicking() {
		return nil
	}
	var out []TierStatus
	for _, t := range s.Tiers {
		out = append(out, TierStatus{
			Priority: shownPriority(t), Available: len(t.Selectable), Backends: len(t.Members), Load: t.Load, Panic: t.Panic,
		})
	}
	return out
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
