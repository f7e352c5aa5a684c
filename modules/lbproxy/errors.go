package lbproxy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"net/textproto"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"

	"github.com/caddylb/caddy-lb/internal/h1"
)

// statusClientGone is recorded when the client left before it had its answer; nobody sees it but the log.
const statusClientGone = 499

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
func (f *failure) unsent() bool { return f.cause == causeConnect || f.cause == causeLimit }

func newFailure(c cause, err error) *failure {
	return &failure{cause: c, status: causeStatus(c), err: err, final: c == causeCanceled || c == causeBody}
}

// causeStatus is the status code for a request that failed for this cause.
func causeStatus(c cause) int {
	switch c {
	case causeTimeout:
		return http.StatusGatewayTimeout
	case causeCanceled:
		return statusClientGone
	case causeBody:
		return http.StatusBadRequest
	case causeLimit:
		return http.StatusServiceUnavailable
	default:
		return http.StatusBadGateway
	}
}

// errBreakerOpen is the failure of a request that a circuit breaker keeps from the backends.
var errBreakerOpen = errors.New("the circuit breaker of the pool is open")

// unavailable is the failure of a request that no backend can be picked for. It counts why.
func (ex *exchange) unavailable() *failure {
	snapshot := ex.pool.Snapshot()
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
	return &failure{status: http.StatusServiceUnavailable, err: err, unavailable: true}
}

// fail ends a request that has no answer. A client that left is told nothing, but its status is recorded.
func (ex *exchange) fail(f *failure) error {
	if f.cause == causeCanceled {
		ex.w.WriteHeader(statusClientGone)
		return nil
	}
	if f.shed != nil {
		f.shed.Add(1)
	}
	if f.retryAfter > 0 {
		ex.w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(f.retryAfter.Seconds()))))
	}
	return caddyhttp.Error(f.status, f)
}

// classify says what the error of a round trip means.
func (a *attempt) classify(err error) *failure {
	var known *failure
	if errors.As(err, &known) {
		return known
	}
	var bodyErr error
	if a.ex.body != nil {
		bodyErr = a.ex.body.failure()
	}
	// The server cancels a request whose body came too slowly, but the client is still there to be told.
	if clientLeft(a.ex.in.Context()) && !isTimeout(bodyErr) {
		return newFailure(causeCanceled, err)
	}
	if bodyErr != nil {
		return bodyFailure(bodyErr)
	}
	if errors.Is(err, h1.ErrTooManyConns) {
		f := newFailure(causeLimit, err)
		f.retryAfter = shedRetryAfter
		return f
	}
	var dial reverseproxy.DialError
	if errors.As(err, &dial) || a.trace.failedToConnect() || isUnseen(err) {
		return newFailure(causeConnect, err)
	}
	switch {
	case isTimeout(err):
		return newFailure(causeTimeout, err)
	case isProtocolError(err):
		return newFailure(causeProtocol, err)
	default:
		return newFailure(causeBroken, err)
	}
}

// isUnseen reports whether the engine knows that the backend has seen nothing of the request.
func isUnseen(err error) bool {
	var e *h1.Error
	return errors.As(err, &e) && e.Unseen && !isProtocolError(err)
}

// clientLeft reports whether the request ended because the client closed its connection or its stream.
func clientLeft(ctx context.Context) bool { return errors.Is(ctx.Err(), context.Canceled) }

// bodyFailure says what an error in reading the client's body means.
func bodyFailure(err error) *failure {
	f := newFailure(causeBody, fmt.Errorf("reading the request's body: %w", err))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		f.status = http.StatusRequestEntityTooLarge
	case isTimeout(err):
		f.status = http.StatusGatewayTimeout // as for every time limit; reverse_proxy has no 408 either
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, context.Canceled):
		return newFailure(causeCanceled, f.err)
	}
	return f
}

func isTimeout(err error) bool {
	var ne net.Error
	return errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, context.DeadlineExceeded) ||
		(errors.As(err, &ne) && ne.Timeout())
}

// isProtocolError reports whether the backend answered something that is not HTTP. net/http has no types for
// most of these errors, so the texts it has used for years decide.
func isProtocolError(err error) bool {
	var pe textproto.ProtocolError
	var answer *h1.ProtocolError
	var request *h1.RequestError
	if errors.As(err, &pe) || errors.As(err, &answer) || errors.As(err, &request) {
		return true
	}
	text := err.Error()
	for _, part := range [...]string{
		"malformed", "invalid header", "unsupported transfer encoding", "too many transfer encodings",
		"bad Content-Length", "invalid Content-Length", "server response headers exceeded", "PROTOCOL_ERROR",
	} {
		if strings.Contains(text, part) {
			return true
		}
	}
	return false
}
