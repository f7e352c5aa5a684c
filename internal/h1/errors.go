package h1

import (
	"errors"
	"fmt"
)

// Phase says how far a round trip came before it failed.
type Phase int

// The phases.
const (
	// Connecting is getting a connection, TLS included. Nothing of the request was sent.
	Connecting Phase = iota
	// Sending is writing the request, or waiting for the answer's first byte.
	Sending
	// Receiving is reading the answer, of which something came.
	Receiving
)

// Error is the failure of a round trip, or of reading an answer's body.
type Error struct {
	Phase Phase

	// Unseen says that the server cannot have processed any part of the request, so that sending it again
	// applies it once, whatever its method (RFC 9110, section 9.2.2).
	Unseen bool

	// Reused says that the connection had served another request before.
	Reused bool

	Err error
}

// Error implements error.
func (e *Error) Error() string {
	switch e.Phase {
	case Connecting:
		return "connecting: " + e.Err.Error()
	case Sending:
		return "sending the request: " + e.Err.Error()
	default:
		return "reading the answer: " + e.Err.Error()
	}
}

// Unwrap returns the error behind it.
func (e *Error) Unwrap() error { return e.Err }

// ProtocolError is an answer that is not valid HTTP, or that exceeds a limit.
type ProtocolError struct{ reason string }

// Error implements error.
func (e *ProtocolError) Error() string { return e.reason }

func malformed(format string, args ...any) error {
	return &ProtocolError{"the server's answer is not valid: " + fmt.Sprintf(format, args...)}
}

// ErrSwitchedEarly is an answer that switches protocols before the request's body was sent whole.
// Many servers do so for any request with the right header, so that it says more about the client.
var ErrSwitchedEarly error = &ProtocolError{"the server switched protocols before it had the request's body"}

// RequestError is a request that cannot be written as HTTP/1.1.
type RequestError struct{ reason string }

// Error implements error.
func (e *RequestError) Error() string { return e.reason }

func unsendable(format string, args ...any) error {
	return &RequestError{"the request cannot be sent: " + fmt.Sprintf(format, args...)}
}

// BodyError is an error in reading the request's body, as opposed to one in sending it. The server
// is not to blame for it.
type BodyError struct{ Err error }

// Error implements error.
func (e *BodyError) Error() string { return "reading the request's body: " + e.Err.Error() }

// Unwrap returns the error of the read.
func (e *BodyError) Unwrap() error { return e.Err }

// Errors of connections.
var (
	// ErrClosedByServer is a connection that ended before the answer did.
	ErrClosedByServer = errors.New("the server closed the connection")

	// ErrTooManyConns is the want of a connection when there are as many as may be; see [Client.SetMaxConns].
	ErrTooManyConns = errors.New("there are as many connections as may be")
)

// timeoutError is a time limit that passed. It is a net.Error.
type timeoutError struct{ what string }

// Error implements error.
func (e *timeoutError) Error() string { return "timeout " + e.what }

// Timeout implements net.Error.
func (e *timeoutError) Timeout() bool { return true }

// Temporary implements net.Error.
func (e *timeoutError) Temporary() bool { return true }

var errHeaderTimeout error = &timeoutError{"awaiting the header of the answer"}
