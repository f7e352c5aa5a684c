package filter

import "github.com/prometheus/client_golang/prometheus"

// The metrics. Names and labels are part of the contract with users.
var (
	rateResultsDesc = prometheus.NewDesc("caddy_lb_rate_limit_total",
		"Requests at a limit, by result; local_fallback counts besides one of the others.", []string{"limit", "result"}, nil)
	rateEvictedDesc = prometheus.NewDesc("caddy_lb_rate_limit_evicted_total",
		"Keys that were forgotten before their limit was free again, for lack of room.", []string{"limit"}, nil)
	inflightResultsDesc = prometheus.NewDesc("caddy_lb_max_inflight_total",
		"Requests at a limit of concurrent ones, by result.", []string{"limit", "result"}, nil)
	inflightDesc = prometheus.NewDesc("caddy_lb_max_inflight_requests",
		"Requests that hold a place of the limit now.", []string{"limit"}, nil)
)

// limitCollector reads the limits when it is asked for metrics.
type limitCollector struct{}

// Describe implements prometheus.Collector.
func (limitCollector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{rateResultsDesc, rateEvictedDesc, inflightResultsDesc, inflightDesc} {
		ch <- d
	}
}

// limitFigures are those of all limits of one label: a name may be given to several.
type limitFigures struct {
	results [numResults]uint64
	other   uint64 // evicted keys, or requests under way
}

func (s *limitFigures) add(t *tally, other uint64) {
	for r := range numResults {
		s.results[r] += t.get(r)
	}
	s.other += other
}

// Collect implements prometheus.Collector.
func (limitCollector) Collect(ch chan<- prometheus.Metric) {
	rates, inflight := make(map[string]limitFigures), make(map[string]limitFigures)
	rateLimits.Range(func(_, v any) bool {
		s := v.(*rateState)
		sum := rates[s.label]
		sum.add(&s.results, s.local.Evicted())
		rates[s.label] = sum
		return true
	})
	inflightLimits.Range(func(_, v any) bool {
		s := v.(*inflightState)
		sum := inflight[s.label]
		sum.add(&s.results, uint64(s.total()))
		inflight[s.label] = sum
		return true
	})
	emit := func(d *prometheus.Desc, kind prometheus.ValueType, value uint64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, kind, float64(value), labels...)
	}
	for label, sum := range rates {
		for r, n := range sum.results {
			emit(rateResultsDesc, prometheus.CounterValue, n, label, result(r).String())
		}
		emit(rateEvictedDesc, prometheus.CounterValue, sum.other, label)
	}
	for label, sum := range inflight {
		for _, r := range []result{allowed, refused, dryRun} {
			emit(inflightResultsDesc, prometheus.CounterValue, sum.results[r], label, r.String())
		}
		emit(inflightDesc, prometheus.GaugeValue, sum.other, label)
	}
}
