package lbproxy

import "github.com/caddylb/caddy-lb/lb"

// denial says why a retry was not made that would have been otherwise.
type denial int

// The denials, in the order of metrics.
const (
	deniedBudget denial = iota // of retry_budget
	deniedLimit                // of the pool's limits
	numDenials
)

var denials = [numDenials]string{"budget", "limit"}

// countRequest counts the request for the pool's budget of retries.
func (ex *exchange) countRequest() {
	if ex.h.retry.budget != nil {
		ex.pool.state.retries.Request(lb.Monotonic())
	}
}

// takeRetry reports whether the pool has room for a retry, and takes it. The retry is under way until endRetry.
func (ex *exchange) takeRetry() bool {
	ex.endRetry()
	p := ex.pool
	if p.maxRetries > 0 {
		ex.retrying = p.state
		if p.state.retrying.Add(1) > int64(p.maxRetries) {
			ex.endRetry()
			p.state.denied[deniedLimit].Add(1)
			return false
		}
	}
	if budget := ex.h.retry.budget; budget != nil && !p.state.retries.Take(*budget, lb.Monotonic()) {
		ex.endRetry()
		p.state.denied[deniedBudget].Add(1)
		return false
	}
	p.state.retried.Add(1)
	return true
}

// endRetry ends a retry that is under way, if there is one.
func (ex *exchange) endRetry() {
	if ex.retrying != nil {
		ex.retrying.retrying.Add(-1)
		ex.retrying = nil
	}
}
