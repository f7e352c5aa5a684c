package lbproxy

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/caddylb/caddy-lb/lb"
)

// The metrics, all by pool and backend. Names and labels are part of the contract with users.
var (
	upDesc       = describe("backend_up", "1 while the backend passes its checks.")
	drainedDesc  = describe("backend_drained", "1 while the backend is drained by an operator or has weight 0.")
	weightDesc   = describe("backend_weight", "Weight of the backend.")
	activeDesc   = describe("backend_active_requests", "Requests the backend is serving now, over all pools.")
	requestsDesc = describe("requests_total", "Tries given to the backend, by class of the status code; error is no answer.", "code")
	failuresDesc = describe("failures_total", "Tries that failed, by cause.", "cause")
	latencyDesc  = describe("latency_seconds", "Time to the first byte of the answer.")
	checksDesc   = describe("checks_total", "Active health checks, by kind and result.", "kind", "result")
	durationDesc = describe("check_duration_seconds", "Duration of the last active health check.", "kind")
	ejectedDesc  = describe("backend_ejected", "1 while outlier detection keeps the backend out.")
	ejectDesc    = describe("ejections_total", "Ejections by outlier detection.")
	overflowDesc = describe("ejections_overflowed_total", "Ejections not made because as many backends were out as may be.")
	warmthDesc   = describe("backend_warmth", "Part of its weight that a backend has which starts slowly.")
	limitDesc    = describe("backend_concurrency_limit", "Concurrent requests that adaptive_concurrency has found.")
	lookupsDesc  = prometheus.NewDesc("caddy_lb_lookup_failures_total", "Lookups of a host name that failed.", []string{"pool", "name"}, nil)
	lookupAge    = prometheus.NewDesc("caddy_lb_lookup_age_seconds", "Age of the last good answer for a host name.", []string{"pool", "name"}, nil)
)

func describe(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("caddy_lb_"+name, help, append([]string{"pool", "backend"}, labels...), nil)
}

// collector reads the state of the running pools when it is asked for metrics, so that counting costs
// requests nothing more than the counters the balancer needs anyway.
type collector struct{}

// Describe implements prometheus.Collector.
func (collector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		upDesc, drainedDesc, weightDesc, activeDesc, requestsDesc, failuresDesc, latencyDesc,
		checksDesc, durationDesc, lookupsDesc, lookupAge,
		ejectedDesc, ejectDesc, overflowDesc, warmthDesc, limitDesc,
		loadDesc, panicDesc, queuedDesc, shedDesc,
	} {
		ch <- d
	}
	for _, d := range requestDescs {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (collector) Collect(ch chan<- prometheus.Metric) {
	for _, p := range shownPools() {
		for _, m := range p.shown() {
			collectBackend(ch, p.Name(), p.Options(), m.Member, m.entry)
		}
		collectPool(ch, p)
		collectRequests(ch, p)
		for _, l := range p.lookups {
			ch <- prometheus.MustNewConstMetric(lookupsDesc, prometheus.CounterValue, float64(l.state.failures.Load()), p.Name(), l.name)
			if last := l.state.last.Load(); last != nil {
				ch <- prometheus.MustNewConstMetric(lookupAge, prometheus.GaugeValue, last.age().Seconds(), p.Name(), l.name)
			}
		}
	}
}

func collectBackend(ch chan<- prometheus.Metric, pool string, options *lb.Options, m *lb.Member, e *entry) {
	backend := m.Address().String()
	emit := func(d *prometheus.Desc, kind prometheus.ValueType, value float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, kind, value, append([]string{pool, backend}, labels...)...)
	}
	gauge, counter := prometheus.GaugeValue, prometheus.CounterValue

	emit(upDesc, gauge, boolValue(m.Healthy()))
	emit(drainedDesc, gauge, boolValue(m.Drained() || m.Weight == 0))
	emit(weightDesc, gauge, float64(m.Weight))
	emit(activeDesc, gauge, float64(m.Active()))
	for i, class := range codeClasses {
		if n := e.stats.byClass[i].Load(); n > 0 || !rareClass(class) {
			emit(requestsDesc, counter, float64(n), class)
		}
	}
	for c := causeNone + 1; c < causeUnavailable; c++ {
		if n := e.stats.byCause[c].Load(); n > 0 || (&try{Cause: c}).failed() {
			emit(failuresDesc, counter, float64(n), c.String())
		}
	}
	if e.outlier != nil {
		emit(ejectedDesc, gauge, boolValue(m.EjectedNow()))
		emit(ejectDesc, counter, float64(e.stats.ejections.Load()))
		emit(overflowDesc, counter, float64(e.stats.overflows.Load()))
	}
	if options.SlowStart > 0 {
		emit(warmthDesc, gauge, m.Warmth())
	}
	if options.Adaptive != nil {
		emit(limitDesc, gauge, float64(m.AdaptiveLimit().Limit(options.Adaptive)))
	}
	buckets, count, sum := e.stats.latency.read()
	ch <- prometheus.MustNewConstHistogram(latencyDesc, count, sum, buckets, pool, backend)

	// A pool may have several checks of one kind, whose counts belong to one series.
	type tally struct{ passes, failures, seconds float64 }
	byKind := make(map[string]tally)
	for _, w := range e.watches {
		s := w.monitor.Status()
		t := byKind[s.Kind]
		t.passes += float64(s.Passes)
		t.failures += float64(s.Failures)
		t.seconds = max(t.seconds, s.LastDuration.Seconds())
		byKind[s.Kind] = t
	}
	for kind, t := range byKind {
		emit(checksDesc, counter, t.passes, kind, "pass")
		emit(checksDesc, counter, t.failures, kind, "fail")
		emit(durationDesc, gauge, t.seconds, kind)
	}
}

// rareClass reports whether many backends never answer a class of status codes, and no alert is
// likely to be about it. Such a series begins with its first count; all others begin at 0, so that
// rate() sees the first.
func rareClass(class string) bool { return class == "1xx" || class == "3xx" }

func boolValue(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
