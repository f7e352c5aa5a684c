package lbproxy

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"

	"github.com/caddylb/caddy-lb/internal/h1"
	"github.com/caddylb/caddy-lb/internal/tunnel"
	"github.com/caddylb/caddy-lb/lb"
	"github.com/caddylb/caddy-lb/modules/selection"
)

// Where Caddy's transports look for what a URL cannot say. The names are theirs.
const (
	dialInfoKey          = caddy.CtxKey("reverse_proxy.dial_info")
	proxyProtocolInfoVar = "reverse_proxy.proxy_protocol_info"
	tlsHTTP1OnlyVar      = "reverse_proxy.tls_h1_only"
)

// attempt is one try: the request given to one backend. It is the context of the request that it sends, so that
// the transport finds the backend's address there without an allocation for each request.
type attempt struct {
	context.Context
	ex     *exchange
	pool   *pool // that the member was picked from
	member *lb.Member
	way    *transport
	dial   reverseproxy.DialInfo
	name   string // host and port with the name as configured, for Host and placeholders
	host   string // the host in it

	key string        // of the connections that it may use
	req *http.Request // the client's own, if that is plain
	url url.URL       // of req, if that is a copy

	begun    time.Time
	res      *http.Response
	try      try
	answered atomic.Bool // res and try may be read by placeholders
	reported bool

	answerTap *tap // before the filters of the answer's body; nil without them

	// delivered says that a handle_response route gave the answer to the client, and so closed its body.
	delivered bool

	left   bool                    // its place on the backend was given back
	ghost  time.Duration           // how long the place counts as taken after that
	quiet  bool                    // interim answers are not passed on
	cancel context.CancelCauseFunc // of the context; nil unless it can be interrupted
	before *attempt                // the request's try before this one

	streamed atomic.Int64 // nanoseconds from begun to the end of the answer; 0 until then

	engine h1.Exchange // with an engine
	trace  *trace      // with a transport of Caddy's
}

// Value implements context.Context.
func (a *attempt) Value(key any) any {
	if key == dialInfoKey {
		dial := a.dial
		dial.Upstream = &reverseproxy.Upstream{Host: new(reverseproxy.Host), Dial: a.member.Address().String(), MaxRequests: a.member.MaxRequests}
		return dial
	}
	return a.Context.Value(key)
}

// begin picks a backend and takes a place on it. Without one it returns the failure that says why.
func (ex *exchange) begin() (*attempt, *failure) {
	if ex.tries > 0 {
		ex.base.askAgain(ex.in)
	}
	if ex.again > 0 {
		ex.inherit()
	} else {
		ex.goBy(ex.base)
	}
	if b := ex.pool.breaker; b != nil && !b.OK() {
		f := newFailure(causeUnavailable, errBreakerOpen)
		f.unavailable = true
		return nil, f
	}
	m, f := ex.lease()
	ex.renew = false
	if f != nil {
		return nil, f
	}
	ex.pick.Tried.Add(m.Backend)
	ex.tries++

	a := &ex.first
	if ex.tries > 1 {
		a = &attempt{Context: ex.in.Context(), ex: ex}
	}
	a.member, a.pool = m, ex.pool
	ex.newest = a
	if f := ex.filterSelected(m); f != nil {
		a.release()
		return nil, f
	}
	if err := a.prepare(); err != nil {
		a.release()
		return nil, err
	}
	return a, nil
}

// choose picks a backend and takes a place on it. A place that was free at the pick may be gone; the backend is
// then full, and the next pick passes it over.
func (ex *exchange) choose() *lb.Member {
	s := ex.snapshot()
	if len(s.Trials) > 0 {
		if m := ex.tryOut(s); m != nil {
			return m
		}
	}
	for {
		m := selection.Choose(ex.snapshot(), &ex.pick)
		if m == nil || m.Acquire() {
			return m
		}
	}
}

// tryOut takes the place of a member on trial for a request that loses nothing if the trial fails: it can be given to
// another backend, and belongs to none.
func (ex *exchange) tryOut(s *lb.Snapshot) *lb.Member {
	if ex.pick.Key != "" || ex.pool.keepsClients() || ex.body != nil || ex.tunnel != nil || ex.upgrade != "" ||
		!h1.IsIdempotent(ex.in.Method) || ex.h.retry.never() {
		return nil
	}
	for _, m := range s.Trials {
		if ex.pick.Accepts(m) && m.Acquire() {
			return m
		}
	}
	return nil
}

// prepare makes the request for the attempt's backend.
func (a *attempt) prepare() *failure {
	ex := a.ex
	var err error
	if a.way, err = ex.ways.For(a.member); err != nil {
		return newFailure(causeConfig, err)
	}
	if err := a.resolve(); err != nil {
		return newFailure(causeConfig, err)
	}
	ex.current.Store(a)

	a.key = a.connectionKey()
	a.setVars()
	if a.byModule() {
		a.traceConnection()
	}
	return a.makeRequest()
}

// makeRequest makes what is sent, for the transport that is to carry it.
func (a *attempt) makeRequest() *failure {
	ex := a.ex
	if ex.out == nil {
		if a.trace == nil {
			a.req = ex.in // the engine edits it as it is written
			return nil
		}
		if f := ex.prepareCopy(); f != nil {
			return f
		}
	}
	a.req = ex.out
	own := ex.h.hedging != nil || ex.h.filters.ChangesUpstreamRequest() // each try starts from the same request
	if ex.tries > 1 || own {
		a.req = ex.out.WithContext(a)
	}
	a.url = ex.url
	a.url.Host = a.key
	a.req.URL = &a.url
	if ex.body != nil {
		a.attachBody()
	}
	if f := a.changeHeader(own); f != nil {
		return f
	}
	if f := a.filterRequest(); f != nil {
		return f
	}
	tunnel.Restrict(a.req.Header, ex.upgrade)
	return nil
}

// resolve fills in where to connect, placeholders of the address included.
func (a *attempt) resolve() error {
	address := a.member.Address()
	hostport := a.member.HostPort()
	a.dial = reverseproxy.DialInfo{
		Network: address.Network, Address: hostport, Host: address.Host, Port: address.Port,
	}
	if strings.IndexByte(hostport, '{') >= 0 {
		dial := a.ex.repl.ReplaceAll(address.String(), "")
		parsed, err := caddy.ParseNetworkAddress(dial)
		if err != nil {
			return fmt.Errorf("backend %s: %q is not an address: %w", address, dial, err)
		}
		if parsed.PortRangeSize() != 1 {
			return fmt.Errorf("backend %s: %q is not one address but %d", address, dial, parsed.PortRangeSize())
		}
		a.dial.Network, a.dial.Address, a.dial.Host = parsed.Network, parsed.JoinHostPort(0), parsed.Host
		a.dial.Port = fmt.Sprint(parsed.StartPort)
	}
	a.name, a.host = a.dial.Address, a.dial.Host
	if a.member.Name != "" && a.member.Name != a.dial.Host {
		a.host = a.member.Name
		a.name = lb.Address{Host: a.host, Port: a.dial.Port}.Dial()
	}
	return nil
}

// connectionKey is what connections are kept by, as the URL's host where Caddy's transports do that. They connect to what the context says, so it
// has to differ wherever connections must not be shared: by backend, and by client or server name where they
// are part of the connection. It is escaped as a host would not parse otherwise.
func (a *attempt) connectionKey() string {
	key := a.dial.Address
	if a.way.perName != "" {
		key = url.QueryEscape(a.ex.repl.ReplaceAll(a.way.perName, "") + "->" + key)
	}
	if a.way.perClient {
		key = url.QueryEscape(clientAddress(a.Context).String() + "->" + key)
	}
	return key
}

// setVars leaves in the request's variables what transports read there.
func (a *attempt) setVars() {
	if a.way.perClient || a.way.foreign {
		caddyhttp.SetVar(a.Context, proxyProtocolInfoVar, reverseproxy.ProxyProtocolInfo{AddrPort: clientAddress(a.Context)})
	}
	if a.ex.upgrade != "" {
		caddyhttp.SetVar(a.Context, tlsHTTP1OnlyVar, true)
	}
}

// clientAddress is the client's address as the server determined it, with port 0 where it has none.
func clientAddress(ctx context.Context) netip.AddrPort {
	s, _ := caddyhttp.GetVar(ctx, caddyhttp.ClientIPVarKey).(string)
	if ap, err := netip.ParseAddrPort(s); err == nil {
		return ap
	}
	if ip, err := netip.ParseAddr(s); err == nil {
		return netip.AddrPortFrom(ip, 0)
	}
	return netip.AddrPort{}
}

// changeHeader applies the header operations of the transport and then of the user, so that the user's win. Each
// try starts from the same header, since values may depend on the backend; own says that it needs a copy anyway.
func (a *attempt) changeHeader(own bool) *failure {
	ex, h := a.ex, a.ex.h
	user := h.Headers != nil && h.Headers.Request != nil
	a.req.Host = ex.in.Host
	if user || a.way.headerOps != nil || ex.tries > 1 || own {
		a.req.Header = ex.header.Clone()
	}
	if a.way.hostOfBackend {
		a.req.Host = a.name
	}
	if a.way.headerOps != nil {
		a.way.headerOps.ApplyToRequest(a.req)
	}
	if user {
		h.Headers.Request.ApplyToRequest(a.req)
	}
	if ex.upgrade != "" {
		normalizeWebSocketHeader(a.req.Header)
	}
	return a.checkIncremental()
}

// report tells the pool what the try came to, if anything was sent. It does so once.
func (a *attempt) report() {
	if a.begun.IsZero() || a.reported {
		return
	}
	a.reported = true
	a.pool.observe(a.member, &a.try)
}

// release gives the place on the backend back and reports what was not reported yet.
func (a *attempt) release() {
	a.engine.End()
	if a.cancel != nil {
		a.cancel(nil)
	}
	a.leave()
}

// leave gives the place on the backend back and reports what was not reported yet. It may be called more than once.
func (a *attempt) leave() {
	if a.left {
		return
	}
	a.left = true
	a.report() // before the place is free: a trial's verdict comes first
	noteSticky(a.member)
	if a.ghost > 0 {
		time.AfterFunc(a.ghost, a.vacate)
		return
	}
	a.vacate()
}

// vacate gives the place on the backend back.
func (a *attempt) vacate() {
	a.member.Release()
	a.pool.leave()
}
