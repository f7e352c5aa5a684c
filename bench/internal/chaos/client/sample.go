// Package client has the clients of the scenarios. They never send a request twice, so that every failure is seen, and they tell
// failures apart by what had happened before.
package client

import (
	"slices"
	"time"

	"github.com/caddylb/caddy-lb/bench/internal/stats"
)

// Outcome is how a request ended.
type Outcome string

// The outcomes. All but OK are failures.
const (
	OK      Outcome = "answered"
	Status  Outcome = "error status"
	Broken  Outcome = "body broken" // the answer had begun
	Stale   Outcome = "idle connection closed as the request arrived"
	Cut     Outcome = "connection ended without an answer"
	Refused Outcome = "no connection"
	Timeout Outcome = "timeout"
)

// Sample is one request. Times are since the start of the run.
type Sample struct {
	Seq     int
	Due     time.Duration // when it was to be sent; its latency counts from then
	Sent    time.Duration // when it began to be sent
	Written time.Duration // when it had been sent, if that is known
	End     time.Duration
	Status  int
	Backend string
	Outcome Outcome
}

// Latency is the time from when the request was to be sent to its end.
func (s Sample) Latency() time.Duration { return s.End - s.Due }

// Samples are the requests of a run.
type Samples []Sample

// Between is the requests that were due from one time on and before another.
func (s Samples) Between(from, to time.Duration) Samples {
	return s.filter(func(x Sample) bool { return x.Due >= from && x.Due < to })
}

// EndedBefore is the requests that ended before a time.
func (s Samples) EndedBefore(at time.Duration) Samples {
	return s.filter(func(x Sample) bool { return x.End < at })
}

// EndedSince is the requests that did not end before a time.
func (s Samples) EndedSince(at time.Duration) Samples {
	return s.filter(func(x Sample) bool { return x.End >= at })
}

// With is the requests with one of some outcomes.
func (s Samples) With(outcomes ...Outcome) Samples {
	return s.filter(func(x Sample) bool { return slices.Contains(outcomes, x.Outcome) })
}

// Failed is the requests without a good answer.
func (s Samples) Failed() Samples { return s.filter(func(x Sample) bool { return x.Outcome != OK }) }

// WithStatus is the requests that were answered with a status.
func (s Samples) WithStatus(status int) Samples {
	return s.filter(func(x Sample) bool { return x.Status == status })
}

func (s Samples) filter(keep func(Sample) bool) Samples {
	var kept Samples
	for _, x := range s {
		if keep(x) {
			kept = append(kept, x)
		}
	}
	return kept
}

// Quantile is the latency that a share q of the requests, failures among them, did not exceed.
func (s Samples) Quantile(q float64) time.Duration {
	var h stats.Histogram
	for _, x := range s {
		h.Add(int64(x.Latency()))
	}
	return time.Duration(h.Quantile(q))
}

// Causes counts failures by outcome.
func (s Samples) Causes() map[Outcome]int {
	causes := make(map[Outcome]int)
	for _, x := range s.Failed() {
		causes[x.Outcome]++
	}
	return causes
}

// Overtaken counts the requests that were served after one which began to be sent more than slack after they had been sent, of
// requests in the order in which they were served.
func (s Samples) Overtaken(slack time.Duration) int {
	n := 0
	var latest time.Duration
	for _, x := range s {
		if x.Written+slack < latest {
			n++
		}
		latest = max(latest, x.Sent)
	}
	return n
}
