package lbproxy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/textproto"
	"os"
	"strings"
	"syscall"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"

	"github.com/caddylb/caddy-lb/internal/h1"
	"github.com/caddylb/caddy-lb/modules/filter"
)

// classify says what the error of a round trip, or of reading the answer's body, means.
func (a *attempt) classify(err error) *failure {
	var known *failure
	if errors.As(err, &known) {
		return known
	}
	ex := a.ex
	left := clientLeft(ex.in.Context())
	bodyErr := ex.bodyError(left)
	// The server cancels a request whose body came too slowly, but the client is still there to be
	// told.
	if left && !isTimeout(bodyErr) {
		return newFailure(causeCanceled, err)
	}
	if bodyErr != nil {
		return ex.bodyFailure(bodyErr)
	}
	if cause := a.unsendable(err); cause != causeNone {
		return newFailure(cause, err)
	}
	if errors.Is(err, h1.ErrTooManyConns) {
		f := newFailure(causeLimit, err)
		f.retryAfter = shedRetryAfter
		return f
	}
	var dial reverseproxy.DialError
	isDial := errors.As(err, &dial)
	switch {
	case isDial, a.trace.failedToConnect(), isUnseen(err):
		if a.isNamed(isDial) {
			return newFailure(causeNamed, err)
		}
		return newFailure(causeConnect, err)
	case ex.awaitsClient(isTimeout(err)):
		return ex.awaited(err)
	case isTimeout(err):
		return newFailure(causeTimeout, err)
	case isProtocolError(err):
		return newFailure(causeProtocol, err)
	default:
		return newFailure(causeBroken, err)
	}
}

// awaited is the failure of a try that ended while the client's body was awaited. Who says how long
// it is owes all of it. Others may have had nothing to say, as on a stream both ways, and nobody is
// to blame.
func (ex *exchange) awaited(err error) *failure {
	if ex.in.ContentLength >= 0 {
		return newFailure(causeSlow, fmt.Errorf("the request's body did not come in time: %w", err))
	}
	f := newFailure(causeOpen, err)
	if isTimeout(err) {
		f.status = http.StatusGatewayTimeout
	}
	return f
}

// classifyAnswer says why an answer broke off whose header was sent to the client.
func (a *attempt) classifyAnswer(err error) cause {
	var writing *writeError
	var filtering *filter.Error
	if errors.As(err, &writing) {
		return causeCanceled
	}
	if errors.As(err, &filtering) || a.answerTap.blames(err) {
		return causeFilter
	}
	if c := a.classify(err).cause; !c.unsent() {
		return c
	}
	return causeBroken // something was sent
}

// isUnseen reports whether the engine knows that the backend has seen nothing of the request.
func isUnseen(err error) bool {
	var e *h1.Error
	return errors.As(err, &e) && e.Unseen && !isProtocolError(err)
}

// clientLeft reports whether the request ended because the client closed its connection or its
// stream.
func clientLeft(ctx context.Context) bool { return errors.Is(ctx.Err(), context.Canceled) }

// bodyFailure says what an error in reading the client's body means.
func (ex *exchange) bodyFailure(err error) *failure {
	err = fmt.Errorf("reading the request's body: %w", err)
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return newFailure(causeTooLarge, err)
	case ex.bodyTap.blames(err):
		return bodyFilterFailure(err)
	case errors.Is(err, errShortBody):
		return newFailure(causeConfig, err)
	case isTimeout(err):
		return newFailure(causeSlow, err)
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, context.Canceled),
		wasReset(err):
		return newFailure(causeCanceled, err)
	}
	return newFailure(causeBody, err)
}

// unsendable says why a transport refused to send the request; causeNone when it did not. The
// client is to blame if what it sent could not be sent as it is, otherwise the configuration.
func (a *attempt) unsendable(err error) cause {
	var request *h1.RequestError
	var body *h1.BodyError
	switch text := err.Error(); {
	case strings.Contains(text, "request header list larger than peer's advertised limit"):
		return causeHeader
	case errors.As(err, &request), a.refusedByTransport(text):
		if h1.CheckRequest(a.ex.in) != nil {
			return causeRequest
		}
		return causeConfig
	case errors.As(err, &body):
		return causeConfig // the client's body was read without an error
	}
	return causeNone
}

// transportRefusals are parts of the errors with which the transports for HTTP/1.1, HTTP/2 and
// HTTP/3 do not send a request. There are no types for them.
var transportRefusals = []string{
	"net/http: invalid ", "http: invalid Host header", "net/http: can't write control character", "http: ContentLength=",
	"http2: invalid ", "http2: request body larger than specified content length",
	"http3: invalid method", "http3: invalid http header", "http3: invalid Host header", "invalid request :p", "invalid HTTP header ",
}

// refusedByTransport reports whether the http transport refused to send a request.
func (a *attempt) refusedByTransport(text string) bool {
	if a.trace == nil || a.way != nil && a.way.foreign {
		return false
	}
	for _, part := range transportRefusals {
		if strings.Contains(text, part) {
			return true
		}
	}
	return false
}

func isTimeout(err error) bool {
	var ne net.Error
	return errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, context.DeadlineExceeded) ||
		(errors.As(err, &ne) && ne.Timeout())
}

// isProtocolError reports whether the backend answered something that is not HTTP. net/http has no
// types for most of these errors, so the texts it has used for years decide.
func isProtocolError(err error) bool {
	var pe textproto.ProtocolError
	var answer *h1.ProtocolError
	if errors.As(err, &pe) || errors.As(err, &answer) {
		return true
	}
	text := err.Error()
	for _, part := range [...]string{
		"malformed", "invalid header", "unsupported transfer encoding", "too many transfer encodings",
		"bad Content-Length", "invalid Content-Length", "multiple Content-Length", "server response headers exceeded", "PROTOCOL_ERROR",
	} {
		if strings.Contains(text, part) {
			return true
		}
	}
	return false
}

// bodyFilterFailure is the failure of a request whose body a filter would not pass on.
func bodyFilterFailure(err error) *failure {
	f := newFailure(causeFilter, err)
	var known caddyhttp.HandlerError
	if errors.As(err, &known) {
		f.status = known.StatusCode
	}
	return f
}
