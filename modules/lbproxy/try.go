package lbproxy

import "time"

// try is what giving a request to one backend came to.
type try struct {
	// Status is the answer's status code; 0 when none came.
	Status int

	// GRPC is the status code that the failure of a gRPC call amounts to; 0 for a call that did not fail, and all else.
	GRPC int

	// Begun is when the request was given to the backend.
	Begun time.Time

	// Latency is the time until the answer's header was complete, or until the try ended without one.
	Latency time.Duration

	// Cause says why the try failed. A broken answer has both a Status and a Cause.
	Cause cause

	// Err is the error behind Cause.
	Err error

	// RetryAfter is how long the backend asked to be left alone; 0 when it did not.
	RetryAfter time.Duration
}

// failed reports whether the backend failed: it is at fault for the cause, or answered that it cannot serve.
func (t *try) failed() bool { return t.Cause.blames() || t.Status >= 500 || t.GRPC >= 500 }

// defaultPenalty is what a failed try counts as in the latency average, as in linkerd2-proxy's load biaser.
const defaultPenalty = 5 * time.Second

// penalty is the latency that a failed try counts as: what the backend asked for, else 5 s.
func (t *try) penalty() time.Duration {
	if t.RetryAfter > 0 {
		return t.RetryAfter
	}
	return defaultPenalty
}
