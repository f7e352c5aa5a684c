package lbproxy

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"

	"github.com/caddylb/caddy-lb/internal/h1"
)

// roundTrip gives the request to the backend and waits for the header of its answer.
func (a *attempt) roundTrip() (*http.Response, error) {
	if a.trace != nil {
		return a.roundTripByModule()
	}
	a.engine.Request, a.engine.Context, a.engine.Interim = a.req, a, a
	if a.ex.h.filters.WatchesConnections() {
		a.engine.Connected = a
	}
	if a.ex.out == nil {
		a.engine.Edit = a.ex
		if a.way.hostOfBackend {
			a.engine.Host = a.name
		}
	}
	err := a.connections().RoundTrip(&a.engine)
	switch {
	case err == nil:
		return &a.engine.Response, nil
	case errors.Is(err, errSpeaksHTTP2):
		// Nothing was sent yet.
		a.way.http2.Store(a.member.HostPort(), nil)
		a.traceConnection()
		if f := a.remakeRequest(); f != nil {
			return nil, f
		}
		return a.roundTripByModule()
	case errors.Is(err, h1.ErrSwitchedEarly):
		return nil, newFailure(causeBody, err)
	default:
		return nil, err
	}
}

// remakeRequest makes the request anew, for another transport.
func (a *attempt) remakeRequest() *failure {
	if r := a.ex.race; r != nil {
		r.making.Lock()
		defer r.making.Unlock()
		a.ex.current.Store(a)
	}
	return a.makeRequest()
}

// roundTripByModule leaves the round trip to Caddy's transport.
func (a *attempt) roundTripByModule() (*http.Response, error) {
	if err := h1.CheckRequest(a.req); err != nil {
		return nil, err // transports differ in what they refuse
	}
	res, err := a.way.RoundTrip(a.req)
	a.trace.settle()
	if refused := a.trace.refused; refused != nil && err == nil {
		_ = res.Body.Close()
		return nil, refused
	}
	return res, err
}

// byModule reports whether the attempt is for Caddy's transport and not for the engine: as a whole, or because the backend is known to
// speak HTTP/2. Protocols are switched in HTTP/1.1 only (RFC 9113, section 8.6).
func (a *attempt) byModule() bool {
	if a.way.engine == nil {
		return true
	}
	if a.way.http2 == nil || a.ex.upgrade != "" {
		return false
	}
	_, known := a.way.http2.Load(a.member.HostPort())
	return known
}

// connections is where the engine keeps the connections that the attempt may use.
func (a *attempt) connections() *h1.Host {
	if a.way.perClient || a.way.perName != "" || a.member.HostPort() != a.dial.Address {
		return a.way.engine.Transient(a.key)
	}
	return a.way.engine.Host(a.key)
}

// whyNoEngine says what of an http transport's configuration only Caddy's own module can do; nothing when the engine
// can do all of it.
func whyNoEngine(t *reverseproxy.HTTPTransport) string {
	for _, o := range transportOptions {
		if o.module == nil {
			continue
		}
		if why := o.module(t); why != "" {
			return why
		}
	}
	if proxyOfEnvironment() {
		return "the environment names a proxy to connect through"
	}
	return ""
}

// mayNegotiateHTTP2 reports whether HTTP/2 is offered to backends in TLS.
func mayNegotiateHTTP2(t *reverseproxy.HTTPTransport) bool {
	return t.TLS != nil && slices.Contains(t.Versions, "2")
}

// proxyOfEnvironment reports whether net/http would connect through a proxy.
func proxyOfEnvironment() bool {
	for _, name := range []string{"HTTP_PROXY", "HTTPS_PROXY"} {
		if os.Getenv(name) != "" || os.Getenv(strings.ToLower(name)) != "" {
			return true
		}
	}
	return false
}

// defaultMaxIdle is how many idle connections the http transport keeps for a backend.
const defaultMaxIdle = 32

// newEngine returns the engine for a provisioned http transport, or nil when it cannot do what is configured. Connections are made as the
// module makes them.
func newEngine(t *reverseproxy.HTTPTransport) *h1.Client {
	if whyNoEngine(t) != "" {
		return nil
	}
	rt := t.Transport
	dial := rt.DialContext
	options := h1.Options{
		Dial: func(ctx context.Context, _ string) (net.Conn, error) {
			return dial(ctx, "", "") // it connects to what the context says
		},
		IdleTimeout:       rt.IdleConnTimeout,
		MaxIdlePerHost:    rt.MaxIdleConnsPerHost,
		MaxIdle:           rt.MaxIdleConns,
		MaxConnsPerHost:   rt.MaxConnsPerHost,
		DisableKeepAlives: rt.DisableKeepAlives,
		HeaderTimeout:     rt.ResponseHeaderTimeout,
		ExpectTimeout:     rt.ExpectContinueTimeout,
		MaxHeaderBytes:    int(rt.MaxResponseHeaderBytes),
		ReadBufferSize:    rt.ReadBufferSize,
	}
	if rt.MaxIdleConnsPerHost == defaultMaxIdle {
		options.MaxIdlePerHost = 0 // the engine's default is the same number, but lets more be idle for a moment
	}
	if t.TLS != nil {
		options.Handshake = handshake(rt, mayNegotiateHTTP2(t))
	}
	return h1.NewClient(options)
}

// handshakeTimeout is how long a TLS handshake may take when nothing is configured, as in net/http's default transport.
const handshakeTimeout = 10 * time.Second

// errSpeaksHTTP2 is why the engine has no use for a connection: HTTP/2 was agreed on.
var errSpeaksHTTP2 = errors.New("the backend speaks HTTP/2")

// handshake makes TLS connections as rt is configured, and resumes their sessions.
func handshake(rt *http.Transport, http2 bool) func(context.Context, net.Conn) (net.Conn, error) {
	base := rt.TLSClientConfig.Clone()
	base.NextProtos = []string{"http/1.1"}
	if base.ClientSessionCache == nil {
		base.ClientSessionCache = tls.NewLRUClientSessionCache(0)
	}
	timeout := rt.TLSHandshakeTimeout
	if timeout == 0 {
		timeout = handshakeTimeout
	}
	return func(ctx context.Context, conn net.Conn) (net.Conn, error) {
		config := base.Clone()
		config.ServerName = serverNameFor(ctx, base.ServerName)
		if http2 && caddyhttp.GetVar(ctx, tlsHTTP1OnlyVar) != true {
			config.NextProtos = []string{"h2", "http/1.1"}
		}
		secured, err := secure(ctx, conn, config, timeout)
		if err != nil {
			return nil, err
		}
		if secured.ConnectionState().NegotiatedProtocol == "h2" {
			_ = secured.Close()
			return nil, errSpeaksHTTP2
		}
		return secured, nil
	}
}

// secure does the TLS handshake over conn, which it closes on failure. A timeout of 0 is none.
func secure(ctx context.Context, conn net.Conn, config *tls.Config, timeout time.Duration) (*tls.Conn, error) {
	if timeout > 0 {
		limited, cancel := context.WithTimeoutCause(ctx, timeout, errHandshakeTimeout)
		defer cancel()
		ctx = limited
	}
	secured := tls.Client(conn, config)
	if err := secured.HandshakeContext(ctx); err != nil {
		_ = conn.Close()
		if errors.Is(context.Cause(ctx), errHandshakeTimeout) {
			err = errHandshakeTimeout
		}
		return nil, fmt.Errorf("TLS handshake: %w", err)
	}
	return secured, nil
}

var errHandshakeTimeout = fmt.Errorf("it takes too long: %w", os.ErrDeadlineExceeded)

// serverNameFor is the server name for a connection: the configured one, placeholders replaced, else the host that is connected to.
func serverNameFor(ctx context.Context, configured string) string {
	if strings.Contains(configured, "{") {
		configured = ctx.Value(caddy.ReplacerCtxKey).(*caddy.Replacer).ReplaceAll(configured, "")
	}
	if configured == "" {
		if dial, ok := reverseproxy.GetDialInfo(ctx); ok {
			configured = dial.Host
		}
	}
	return configured
}
