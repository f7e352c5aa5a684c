package selection

import (
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddylb/caddy-lb/lb"
)

func init() {
	caddy.RegisterModule(LeastLatency{})
}

const (
	// fullScan is the number of backends up to which least_latency compares all.
	fullScan = 64

	// unknownLatency is the cost in nanoseconds of a backend that serves its first requests: more than any
	// average can reach. Finagle's Peak EWMA has such a penalty.
	unknownLatency = 1e15
)

// LeastLatency picks the backend of the lowest cost, which is the peak-sensitive moving average of its time to
// first byte (Finagle's Peak EWMA, see [lb.Latency]) × (requests under way + 1) / weight. It compares all
// backends up to 64, and two drawn by weight when there are more. Equals are drawn at random by weight.
//
// A failed try counts as a slow answer, so a backend that fails fast attracts nothing. A new backend costs
// nothing while it is idle and more than any other while it serves its first request, so it is tried at once
// and not flooded.
type LeastLatency struct {
	rand func() uint64
	now  func() time.Duration
}

// CaddyModule returns the Caddy module information.
func (LeastLatency) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: Namespace + ".least_latency", New: func() caddy.Module { return new(LeastLatency) }}
}

// NewPicker implements [lb.Policy].
func (l LeastLatency) NewPicker(tier *lb.Tier, prev lb.Picker) (lb.Picker, error) {
	var old *sampler
	if p, ok := prev.(*latencyPicker); ok {
		old = &p.sampler
	}
	now := l.now
	if now == nil {
		now = lb.Monotonic
	}
	p := &latencyPicker{sampler: newSampler(tier, old, l.rand), now: now, choices: defaultChoices}
	if len(p.members) <= fullScan {
		p.choices = fullScan
	}
	return p, nil
}

// UnmarshalCaddyfile sets up the policy from Caddyfile tokens: least_latency
func (*LeastLatency) UnmarshalCaddyfile(d *caddyfile.Dispenser) error { return noArguments(d) }

type latencyPicker struct {
	sampler
	now     func() time.Duration
	choices int
}

// Pick implements [lb.Picker].
func (l *latencyPicker) Pick(p *lb.Pick) *lb.Member {
	now := l.now()
	return l.leastOf(l.choices, p, func(m *lb.Member) float64 { return latencyCost(m, now) })
}

func latencyCost(m *lb.Member, now time.Duration) float64 {
	active := float64(m.Active())
	average, known := m.Latency().Read(now)
	if !known {
		if active == 0 {
			return 0
		}
		return unknownLatency * (active + 1) / float64(m.Share())
	}
	return float64(average) * (active + 1) / float64(m.Share())
}

// Interface guards.
var (
	_ lb.Policy             = (*LeastLatency)(nil)
	_ caddyfile.Unmarshaler = (*LeastLatency)(nil)
)
