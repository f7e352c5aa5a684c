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
	"syscall"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"

	"github.com/caddylb/caddy-lb/internal/h1"
)

func TestClassify(t *testing.T) {
	for _, tc := range []struct {
		err              error
		asked, connected bool
		cause            cause
		status           int
	}{
		{reverseproxy.NewDialError(errors.New("refused")), false, false, causeConnect, 502},
		{&net.OpError{Op: "proxyconnect", Err: reverseproxy.NewDialError(errors.New("refused"))}, true, false, causeConnect, 502},
		{errors.New("tls: handshake failure"), true, false, causeConnect, 502},
		{errors.New("net/http: invalid header field name"), false, false, causeRequest, 400},
		{os.ErrDeadlineExceeded, true, true, causeTimeout, 504},
		{fmt.Errorf("wrapped: %w", context.DeadlineExceeded), true, true, causeTimeout, 504},
		{io.EOF, true, true, causeBroken, 502},
		{syscall.ECONNRESET, true, true, causeBroken, 502},
		{textproto.ProtocolError("bad"), true, true, causeProtocol, 502},
		{&h1.Error{Phase: h1.Connecting, Unseen: true, Err: os.ErrDeadlineExceeded}, false, false, causeConnect, 502},
		{&h1.Error{Phase: h1.Sending, Unseen: true, Err: io.EOF}, false, false, causeConnect, 502},
		{&h1.Error{Phase: h1.Sending, Err: syscall.ECONNRESET}, false, false, causeBroken, 502},
		{&h1.Error{Phase: h1.Receiving, Err: new(h1.ProtocolError)}, false, false, causeProtocol, 502},
	} {
		a := &attempt{ex: &exchange{in: new(http.Request)}}
		a.trace = new(trace)
		a.trace.asked.Store(tc.asked)
		a.trace.connected.Store(tc.connected)
		if f := a.classify(tc.err); f.cause != tc.cause || f.status != tc.status {
			t.Errorf("%v: %v, %d; want %v, %d", tc.err, f.cause, f.status, tc.cause, tc.status)
		}
	}
}

func TestBodyFailure(t *testing.T) {
	for _, tc := range []struct {
		err    error
		cause  cause
		status int
	}{
		{&http.MaxBytesError{Limit: 1}, causeTooLarge, 413},
		{fmt.Errorf("read: %w", os.ErrDeadlineExceeded), causeSlow, 408},
		{io.ErrUnexpectedEOF, causeCanceled, 499},
		{errors.New("malformed chunked encoding"), causeBody, 400},
	} {
		if f := new(exchange).bodyFailure(tc.err); f.cause != tc.cause || f.status != tc.status || !f.final {
			t.Errorf("%v: %v, %d", tc.err, f.cause, f.status)
		}
	}
}

func TestRetryAfterOf(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for v, want := range map[string]time.Duration{
		"": 0, "120": 2 * time.Minute, "soon": 0, "-5": 0,
		"Thu, 01 Jan 2026 00:00:30 GMT": 30 * time.Second, "Wed, 31 Dec 2025 00:00:00 GMT": 0,
	} {
		if got := retryAfterOf(http.Header{"Retry-After": {v}}, now); got != want {
			t.Errorf("%q: %v, want %v", v, got, want)
		}
	}
}
