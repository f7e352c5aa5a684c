package lbproxy

import "time"

// cause says why a try failed.
type cause int

// The causes, in the order of codes in metrics and logs.
const (
	causeNone     cause = iota // it did not fail
	causeConnect               // no connection, or no TLS session; nothing of the request was sent
	causeTimeout               // a time limit passed before the answer
	causeBroken                // the connection broke, before or within the answer
	causeProtocol              // the answer was not valid HTTP
	causeCanceled              // the client went away; not the backend's failure
	causeBody                  // the client's body could not be read, or was too large; not the backend's failure
	causeHedged                // another backend answered first; not the backend's failure
	causeLimit                 // a limit of the pool on connections; not the backend's failure
	numCauses
)

var causeNames = [numCauses]string{"", "connect", "timeout", "broken", "protocol", "canceled", "body", "hedged", "limit"}

func (c cause) String() string { return causeNames[c] }

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
func (t *try) failed() bool {
	switch t.Cause {
	case causeNone, causeCanceled, causeBody, causeHedged, causeLimit:
		return t.Status >= 500 || t.GRPC >= 500
	default:
		return true
	}
}

// defaultPenalty is what a failed try counts as in the latency average, as in linkerd2-proxy's load biaser.
const defaultPenalty = 5 * time.Second

// penalty is the latency that a failed try counts as: what the backend asked for, else 5 s.
func (t *try) penalty() time.Duration {
	if t.RetryAfter > 0 {
		return t.RetryAfter
	}
	return defaultPenalty
}
