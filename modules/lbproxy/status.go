package lbproxy

import (
	"fmt"
	"strings"
	"time"

	"github.com/caddylb/caddy-lb/lb"
)

// PoolStatus is a pool as the admin API shows it.
type PoolStatus struct {
	Name      string          `json:"name"`
	Anonymous bool            `json:"anonymous"`
	Policy    string          `json:"policy"`
	Available int             `json:"available"`
	Backends  []BackendStatus `json:"backends"`
	Lookups   []LookupStatus  `json:"lookups,omitempty"`
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

	// State is "up", "down" or "drained", Reason why it is not up, and Since when that began.
	State  string    `json:"state"`
	Reason string    `json:"reason,omitempty"`
	Since  time.Time `json:"since"`

	// Active is the requests under way over all pools, Requests and Failures are this pool's totals.
	Active      int           `json:"active"`
	MaxRequests int           `json:"max_requests,omitempty"`
	Requests    uint64        `json:"requests"`
	Failures    uint64        `json:"failures"`
	LatencyMs   float64       `json:"latency_ms,omitempty"`
	Checks      []CheckStatus `json:"checks,omitempty"`
	Fails       int           `json:"passive_fails,omitempty"`
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
)

// status describes the pool as it stands.
func (p *pool) status() PoolStatus {
	s := p.Snapshot()
	out := PoolStatus{Name: p.Name(), Anonymous: p.anonymous, Policy: p.policyName(), Available: s.Selectable(), Backends: []BackendStatus{}}
	entries := *p.entries.Load()
	for _, m := range s.Members {
		if e := entries[m.Backend]; e != nil {
			out.Backends = append(out.Backends, e.status(m))
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
	if average, ok := m.Latency().Read(lb.Monotonic()); ok {
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
	case m.Drained():
		out.State, out.Reason = stateDrained, "drained by an operator"
	case m.Weight == 0:
		out.State, out.Reason = stateDrained, "weight 0"
	}
	return out
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
