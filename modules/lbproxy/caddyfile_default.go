package lbproxy

import (
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddylb/caddy-lb/internal/module"
	"github.com/caddylb/caddy-lb/modules/selection"
)

// What `resilience default` sets in a pool. docs/resilience.md gives the reasons.
const (
	resilientLatency     = 5 // times the median of the peers
	resilientInterval    = 5 * time.Second
	resilientEjection    = 10 * time.Second
	resilientMaxEjection = 70 // percent; the rest is what resilientPanic leaves alone
	resilientPanic       = 30 // percent
	resilientSlowStart   = 10 * time.Second
	resilientPolicy      = "least_latency"

	resilientRetries     = 2
	resilientBackoff     = 25 * time.Millisecond
	resilientMaxBackoff  = 250 * time.Millisecond
	resilientRetryBudget = 20 // percent
	resilientTryTimeout  = 15 * time.Second
	resilientHedge       = 95 // percentile
)

// unmarshalResilience parses `resilience default`, wherever it stands.
func unmarshalResilience(d *caddyfile.Dispenser) error {
	const usage = "resilience default"
	text, err := module.OneArg(d, usage)
	if err != nil {
		return err
	}
	if text != "default" {
		return d.Errf("resilience %q: there is one set, write '%s'", text, usage)
	}
	return nil
}

// defaultResilience is what the line `resilience default` stands for in a pool, as far as nothing else is written.
func (p *poolParser) defaultResilience() {
	hc := p.healthChecks()
	if hc.OutlierDetection == nil {
		hc.OutlierDetection = new(OutlierDetection)
	}
	hc.OutlierDetection.fill()
	l := p.balancing()
	if l.PanicThreshold == 0 {
		l.PanicThreshold = resilientPanic
	}
	if l.SlowStart == nil {
		l.SlowStart = &SlowStart{Duration: caddy.Duration(resilientSlowStart)}
	}
	if p.policy == nil && len(p.hashOptions) == 0 {
		p.policy, p.policyName = new(selection.LeastLatency), resilientPolicy
	}
}

// fill sets what is not written to what `resilience default` stands for.
func (o *OutlierDetection) fill() {
	if o.Latency == nil {
		o.Latency = &OutlierRule{Threshold: resilientLatency}
	}
	if o.Interval == 0 {
		o.Interval = caddy.Duration(resilientInterval)
	}
	if o.BaseEjectionTime == 0 {
		o.BaseEjectionTime = caddy.Duration(resilientEjection)
		if o.MaxEjectionTime > 0 {
			o.BaseEjectionTime = min(o.BaseEjectionTime, o.MaxEjectionTime)
		}
	}
	if o.MaxEjectionPercent == 0 {
		o.MaxEjectionPercent, o.AlwaysEjectOne = resilientMaxEjection, true
	}
}

// defaultResilience is what the line stands for in a handler, as far as nothing else is written.
func (h *Handler) defaultResilience() {
	l := h.balancing()
	if l.Retries == 0 && l.TryDuration == 0 {
		l.Retries = resilientRetries
	}
	if len(l.RetryOn) == 0 && len(l.RetryMatchRaw) == 0 {
		l.RetryOn = []string{"connect", "timeout", "reset", "5xx"}
	}
	if l.RetryBackoff == nil && l.TryInterval == 0 {
		l.RetryBackoff = &RetryBackoff{Base: caddy.Duration(resilientBackoff), Max: caddy.Duration(resilientMaxBackoff)}
	}
	if l.RetryBudget == nil {
		l.RetryBudget = &RetryBudget{Percent: resilientRetryBudget}
	}
	if l.TryTimeout == 0 {
		l.TryTimeout = caddy.Duration(resilientTryTimeout)
	}
	if h.Hedge == nil {
		h.Hedge = &Hedge{Percentile: resilientHedge, Optional: true}
	}
}
