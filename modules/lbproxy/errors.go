package lbproxy

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// failure says why a request has no answer yet, and what the client is told when it stays at that.
type failure struct {
	cause  cause
	status int
	err    error

	// unavailable says that no backend could be picked, so that nothing was tried.
	unavailable bool

	// final says that no backend could do better.
	final bool

	// answer is the try whose answer is to be had from another backend if one can be asked, and otherwise is what the client gets.
	// It is still to be released; nil for everything else.
	answer *attempt

	// retryAfter is when the client is asked to come back; 0 for no word about that.
	retryAfter time.Duration

	// shed counts requests that ended so; nil where they are not counted.
	shed *atomic.Uint64
}

// Error implements error.
func (f *failure) Error() string { return f.err.Error() }

// Unwrap returns the error behind the failure.
func (f *failure) Unwrap() error { return f.err }

// unsent reports whether the backend was sent nothing of the request, as there was no connection to it.
func (f *failure) unsent() bool { return f.cause.unsent() }

func newFailure(c cause, err error) *failure {
	return &failure{cause: c, status: endings[c].status, err: err, final: endings[c].again == againNever}
}

// errBreakerOpen is the failure of a request that a circuit breaker keeps from the backends.
var errBreakerOpen = errors.New("the circuit breaker of the pool is open")

// unavailable is the failure of a request that no backend can be picked for. It counts why.
func (ex *exchange) unavailable() *failure {
	snapshot := ex.snapshot()
	var down, drained, full, tried int
	for _, m := range snapshot.Members {
		switch {
		case ex.pick.Tried.Has(m.Backend):
			tried++
		case !m.Healthy():
			down++
		case !m.Selectable():
			drained++
		case m.Full():
			full++
		}
	}
	err := fmt.Errorf("no backend of pool %s is available: of %d, %d down, %d drained, %d full, %d tried",
		ex.pool.Name(), len(snapshot.Members), down, drained, full, tried)
	f := newFailure(causeUnavailable, err)
	f.unavailable = true
	return f
}

// fail ends a request that has no answer. A client that left is told nothing, but its status is recorded.
func (ex *exchange) fail(f *failure) error {
	if f.cause == causeCanceled {
		ex.recordClientGone()
		return nil
	}
	if f.refused() {
		ex.pool.state.noteRefusal(f)
	}
	if f.cause == causeSlow || ex.awaitsClient(true) {
		ex.allowEarlyAnswer() // the rest of the body may never come; RFC 9110, section 15.5.9
	}
	if f.retryAfter > 0 {
		ex.w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(f.retryAfter.Seconds()))))
	}
	return caddyhttp.Error(f.status, ex.withTries(f))
}
