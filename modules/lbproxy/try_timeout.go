package lbproxy

import (
	"context"
	"fmt"
	"net/http"
	"time"
)

// tryTimeoutError ends a try that takes longer than try_timeout. It is a net.Error.
type tryTimeoutError struct{}

func (tryTimeoutError) Error() string   { return "the try took longer than try_timeout" }
func (tryTimeoutError) Timeout() bool   { return true }
func (tryTimeoutError) Temporary() bool { return true }

// makeInterruptible lets the attempt be ended from outside. It is called before the request is sent.
func (a *attempt) makeInterruptible() {
	if a.cancel == nil {
		a.Context, a.cancel = context.WithCancelCause(a.Context)
	}
}

// interrupt ends the attempt, which must be interruptible, at once. The first cause stands. Any goroutine may call it.
func (a *attempt) interrupt(cause error) {
	// The engine first: it would take the end of the context for the client's leaving.
	a.engine.Interrupt(cause)
	a.cancel(cause)
}

// roundTripWithin is roundTrip with a time limit until the answer's header, which connecting counts for. What follows the header may take
// its time.
func (a *attempt) roundTripWithin(limit time.Duration) (*http.Response, error) {
	a.makeInterruptible()
	timer := time.AfterFunc(limit, func() { a.interrupt(tryTimeoutError{}) })
	res, err := a.roundTrip()
	switch {
	case timer.Stop():
		return res, err
	case err == nil: // it came just then, but the connection may be gone already
		_ = res.Body.Close()
		return nil, tryTimeoutError{}
	case isTimeout(err):
		return nil, err
	default: // transports differ in what they make of the cause
		return nil, fmt.Errorf("%w: %w", tryTimeoutError{}, err)
	}
}
