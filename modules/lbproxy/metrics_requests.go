package lbproxy

import (
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
)

// The metrics of what a pool's requests took beyond one try.
var (
	retriesDesc  = describePool("retries_total", "Requests given to a backend again after one had them, each time.")
	deniedDesc   = describePool("retries_denied_total", "Retries not made for want of budget, or since as many were under way as may be.", "reason")
	hedgesDesc   = describePool("hedges_total", "Requests given to a second backend while the first had them; won is by the second.", "result")
	mirroredDesc = describePool("mirrored_total", "Copies of requests for this pool, by what became of them.", "result")
)

var requestDescs = []*prometheus.Desc{retriesDesc, deniedDesc, hedgesDesc, mirroredDesc}

func collectRequests(ch chan<- prometheus.Metric, p *pool) {
	emit := func(d *prometheus.Desc, value uint64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(value), append([]string{p.Name()}, labels...)...)
	}
	emit(retriesDesc, p.state.retried.Load())
	// A pool does not know whether its handlers have budgets, hedge or mirror. Where none was seen
	// to, there are no series of it; with the first count there are all.
	each := func(d *prometheus.Desc, counts []atomic.Uint64, names []string) {
		seen := false
		for i := range counts {
			seen = seen || counts[i].Load() > 0
		}
		for i, name := range names {
			if seen {
				emit(d, counts[i].Load(), name)
			}
		}
	}
	each(deniedDesc, p.state.denied[:], denials[:])
	each(hedgesDesc, p.state.hedged[:], hedgeResults[:])
	each(mirroredDesc, p.state.mirrored[:], mirrorResults[:])
}
