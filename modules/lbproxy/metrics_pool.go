package lbproxy

import (
	"slices"
	"strconv"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/caddylb/caddy-lb/lb"
)

// The metrics of pools as a whole.
var (
	loadDesc   = describePool("tier_load", "Part of the pool's requests that the tier is for; backups have priority -1.", "priority")
	panicDesc  = describePool("tier_panic", "1 while so few backends of the tier are available that all are used.", "priority")
	queuedDesc = describePool("queued_requests", "Requests that wait for a backend's free place.")
	shedDesc   = describePool("shed_total", "Requests refused for want of a free place.", "reason")
)

func describePool(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("caddy_lb_"+name, help, append([]string{"pool"}, labels...), nil)
}

func collectPool(ch chan<- prometheus.Metric, p *pool) {
	emit := func(d *prometheus.Desc, kind prometheus.ValueType, value float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, kind, value, append([]string{p.Name()}, labels...)...)
	}
	for _, t := range p.Snapshot().Tiers {
		priority := strconv.Itoa(shownPriority(t))
		emit(loadDesc, prometheus.GaugeValue, t.Load, priority)
		emit(panicDesc, prometheus.GaugeValue, boolValue(t.Panic), priority)
	}
	emit(queuedDesc, prometheus.GaugeValue, float64(p.state.queue.Len()))
	bounded := p.bounded()
	for reason, name := range shedReasons {
		if !bounded && p.state.shed[reason].Load() == 0 {
			continue
		}
		emit(shedDesc, prometheus.CounterValue, float64(p.state.shed[reason].Load()), name)
	}
}

// bounded reports whether requests may be refused for want of a place.
func (p *pool) bounded() bool {
	return p.queue != nil || p.maxRequests > 0 || p.Options().Adaptive != nil ||
		slices.ContainsFunc(p.Snapshot().Members, func(m *lb.Member) bool { return m.MaxRequests > 0 })
}
