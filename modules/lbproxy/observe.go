package lbproxy

import (
	"net/http"
	"time"

	"github.com/caddylb/caddy-lb/lb"
)

// observe records what a try came to: counters, the latency average, passive checks.
func (p *pool) observe(m *lb.Member, t *try) {
	e := (*p.entries.Load())[m.Backend]
	tell, now := false, lb.Monotonic()
	if e != nil {
		e.stats.count(t, now)
		tell = e.stats.reach.observe(t) // before checks that may tell of the same
	}
	switch weighing := endings[t.Cause].latency; {
	case weighing == weighAtLeast:
		m.Latency().AtLeast(t.Latency, now)
	case weighing == weighNothing && t.Cause != causeNone:
	case t.failed() || t.Status == http.StatusTooManyRequests:
		m.Failed(t.penalty(), now)
	default:
		m.Latency().Observe(t.Latency, now)
	}
	if p.breaker != nil && t.Status != 0 {
		p.breaker.RecordMetric(t.Status, t.Latency)
	}
	if e != nil && e.passive != nil && e.passive.isFailure(t) {
		e.passive.strike(time.Now())
	}
	if e != nil && e.outlier != nil {
		p.detector.Observe(e.outlier.Host, outcomeOf(t))
	}
	if limits := p.Options().Adaptive; limits != nil {
		p.adapt(limits, m, t)
	}
	if tell {
		p.state.tell()
	}
}
