package lbproxy

import (
	"sync/atomic"
	"time"

	"github.com/caddylb/caddy-lb/lb"
)

// codeClasses are the values of the code label, by the first digit of the status; "error" is a try without an
// answer.
var codeClasses = [...]string{"error", "1xx", "2xx", "3xx", "4xx", "5xx"}

// stats counts what one pool sent to one backend. It survives reloads. Safe for concurrent use.
type stats struct {
	byClass  [len(codeClasses)]atomic.Uint64
	byCause  [numCauses]atomic.Uint64
	failures atomic.Uint64
	latency  latencyHistogram
	average  lb.Latency // of the times to first byte, without what failures count as
	reach    reach
	told     told

	ejections atomic.Uint64 // by outlier detection
	overflows atomic.Uint64 // that it did not make since as many were out as may be

	overflowLogged atomic.Int64 // when one of those was logged last

	emptyTold atomic.Int64 // the drain, by its time, in the course of which the backend was told to be empty
}

// count adds one try, which ended at now.
func (s *stats) count(t *try, now time.Duration) {
	class := t.Status / 100
	if class < 0 || class >= len(codeClasses) {
		class = 0
	}
	s.byClass[class].Add(1)
	if t.Cause != causeNone {
		s.byCause[t.Cause].Add(1)
	}
	if t.failed() {
		s.failures.Add(1)
	}
	if t.Status != 0 {
		s.latency.observe(t.Latency)
		s.average.Observe(t.Latency, now)
	}
}

// requests is the number of tries.
func (s *stats) requests() (n uint64) {
	for i := range s.byClass {
		n += s.byClass[i].Load()
	}
	return n
}

// latencyBounds are the upper bounds of the histogram's buckets in seconds: those of Prometheus' defaults,
// with finer steps below 5 ms, where a proxy on a fast network lives.
var latencyBounds = [...]float64{
	.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10,
}

// latencyHistogram counts times to first byte. The last bucket is everything above the last bound.
type latencyHistogram struct {
	buckets [len(latencyBounds) + 1]atomic.Uint64
	nanos   atomic.Uint64
}

func (h *latencyHistogram) observe(d time.Duration) {
	seconds := d.Seconds()
	i := 0
	for i < len(latencyBounds) && seconds > latencyBounds[i] {
		i++
	}
	h.buckets[i].Add(1)
	h.nanos.Add(uint64(max(d, 0)))
}

// read returns the cumulative counts by bound, the number of observations and their sum in seconds.
func (h *latencyHistogram) read() (cumulative map[float64]uint64, count uint64, sum float64) {
	cumulative = make(map[float64]uint64, len(latencyBounds))
	for i := range h.buckets {
		count += h.buckets[i].Load()
		if i < len(latencyBounds) {
			cumulative[latencyBounds[i]] = count
		}
	}
	return cumulative, count, time.Duration(h.nanos.Load()).Seconds()
}
