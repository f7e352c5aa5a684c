package lbproxy

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/headers"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"

	"github.com/caddylb/caddy-lb/internal/h1"
	"github.com/caddylb/caddy-lb/lb"
)

// variant is a way to speak to backends: what may differ between the backends of one pool.
type variant struct {
	scheme     string // http, https or h2c
	serverName string // empty: what the transport has, else the host
}

// transport is one variant, ready to carry requests.
type transport struct {
	variant
	http.RoundTripper

	// engine carries the requests instead of the RoundTripper; nil when it cannot.
	engine *h1.Client

	// http2 has the backends, as dialed, that agreed on HTTP/2, which the RoundTripper speaks; nil when it is not offered
	// to them.
	http2 *sync.Map

	// headerOps are the transport's own changes to the request's header, made before the user's.
	headerOps *headers.HeaderOps

	// hostOfBackend says that Host defaults to the backend's host and port: the usual change for TLS, which
	// then is not among headerOps.
	hostOfBackend bool

	// perClient says that a connection belongs to one client address, as with the PROXY protocol.
	perClient bool

	// perName is a TLS server name with placeholders; a connection belongs to one value of it.
	perName string

	// foreign says that the module is not the built-in http transport, and may expect anything that the
	// reverse_proxy handler leaves in the request's context.
	foreign bool
}

// transports are the variants of one configured transport. They are made when the configuration loads; one
// that is first needed later, for a backend discovered since, is made then.
type transports struct {
	ctx  caddy.Context
	pool string // whose they are; empty while that is not known
	raw  json.RawMessage

	// requestBuffers and answerBuffers are the sizes that the transport asks for, 0 for none.
	requestBuffers, answerBuffers int64

	// needsLength says that a body can only be sent when its length is known, and without trailers.
	needsLength bool

	mu   sync.Mutex     // held while a variant is added
	held []transportKey // of transports that outlive the configuration
	own  []*h1.Client   // engines that do not

	unowned []unownedTransport // those that are to outlive it, until it is known whose they are
	list    atomic.Pointer[[]*transport]
}

// newTransports makes the given variants of a pool's transport, which is configured by raw; nil is the default.
// On error it has given back whatever it took.
func newTransports(ctx caddy.Context, pool string, raw json.RawMessage, variants []variant) (*transports, error) {
	t := &transports{ctx: ctx, pool: pool, raw: raw}
	t.list.Store(&[]*transport{})
	if len(variants) == 0 {
		variants = []variant{{scheme: transportScheme(raw)}}
	}
	for _, v := range variants {
		if _, err := t.add(v); err != nil {
			t.release()
			return nil, err
		}
	}
	rt := (*t.list.Load())[0].RoundTripper
	if bt, ok := rt.(reverseproxy.BufferedTransport); ok {
		t.requestBuffers, t.answerBuffers = bt.DefaultBufferSizes()
	}
	if lt, ok := rt.(reverseproxy.ContentLengthRequiredTransport); ok {
		t.needsLength = lt.RequiresContentLength()
	}
	return t, nil
}

// For returns the transport for a backend. It neither locks nor allocates, except the first time that a
// variant is needed which the configuration did not have.
func (t *transports) For(m *lb.Member) (*transport, error) {
	v := variant{scheme: m.Address().Scheme, serverName: m.ServerName}
	for _, tr := range *t.list.Load() {
		if tr.variant == v {
			return tr, nil
		}
	}
	return t.add(v)
}

// retain gives up the connections to backends that are not among members any more.
func (t *transports) retain(members []*lb.Member) {
	dialed := make(map[string]bool, len(members))
	for _, m := range members {
		dialed[m.HostPort()] = true
	}
	for _, tr := range *t.list.Load() {
		if tr.engine != nil {
			tr.engine.Retain(func(key string) bool { return dialed[key] })
		}
		if tr.http2 != nil {
			tr.http2.Range(func(key, _ any) bool {
				if !dialed[key.(string)] {
					tr.http2.Delete(key)
				}
				return true
			})
		}
	}
}

func (t *transports) add(v variant) (*transport, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	list := *t.list.Load()
	for _, tr := range list {
		if tr.variant == v {
			return tr, nil
		}
	}
	tr, err := t.build(v, list)
	if err != nil {
		return nil, err
	}
	next := append(slices.Clone(list), tr)
	t.list.Store(&next)
	return tr, nil
}

// build makes one variant. A module of another kind than http cannot be varied, so one instance serves every
// backend that does not ask for anything else.
func (t *transports) build(v variant, have []*transport) (*transport, error) {
	if protocol := transportProtocol(t.raw); protocol != "http" {
		if v.scheme != transportScheme(t.raw) {
			return nil, fmt.Errorf("the transport %q cannot speak %s to one backend and something else to others: give that backend a pool of its own", protocol, v.scheme)
		}
		if v.serverName != "" {
			return nil, fmt.Errorf("the transport %q cannot take the server name %q for one backend: set it in the transport", protocol, v.serverName)
		}
		if len(have) > 0 {
			return have[0], nil
		}
		return t.load(v, t.raw)
	}
	raw, err := httpVariant(t.raw, v)
	if err != nil {
		return nil, err
	}
	return t.load(v, raw)
}

// httpTransport is Caddy's http transport, with the engine that does its work where it can.
type httpTransport struct {
	*reverseproxy.HTTPTransport
	engine *h1.Client // nil where it cannot
	http2  *sync.Map  // as in transport
}

func newHTTPTransport(module *reverseproxy.HTTPTransport) *httpTransport {
	t := &httpTransport{HTTPTransport: module, engine: newEngine(module)}
	watchConnections(module.Transport) // the engine needs none of that
	if t.engine != nil && mayNegotiateHTTP2(module) {
		t.http2 = new(sync.Map)
	}
	return t
}

func (t *httpTransport) close() {
	if t.engine != nil {
		t.engine.Close()
	}
}

// http returns the http transport that raw configures.
func (t *transports) http(raw json.RawMessage) (*httpTransport, error) {
	if ht, err := t.shared(raw); ht != nil || err != nil {
		return ht, err
	}
	mod, err := t.module(raw)
	if err != nil {
		return nil, err
	}
	ht := newHTTPTransport(mod.(*reverseproxy.HTTPTransport))
	if ht.engine != nil {
		t.own = append(t.own, ht.engine)
	}
	return ht, nil
}

// module returns the provisioned transport module that raw configures.
func (t *transports) module(raw json.RawMessage) (http.RoundTripper, error) {
	guest := struct {
		Raw json.RawMessage `caddy:"namespace=http.reverse_proxy.transport inline_key=protocol"`
	}{raw}
	mod, err := t.ctx.LoadModule(&guest, "Raw")
	if err != nil {
		return nil, fmt.Errorf("loading transport: %w", err)
	}
	rt, ok := mod.(http.RoundTripper)
	if !ok {
		return nil, fmt.Errorf("%T is no transport: it does not implement http.RoundTripper", mod)
	}
	return rt, nil
}

// load makes one variant of what raw configures.
func (t *transports) load(v variant, raw json.RawMessage) (*transport, error) {
	if transportProtocol(raw) == "http" {
		ht, err := t.http(raw)
		if err != nil {
			return nil, err
		}
		return &transport{
			variant: v, RoundTripper: ht.HTTPTransport, engine: ht.engine, http2: ht.http2,
			perClient: ht.ProxyProtocolEnabled(), hostOfBackend: ht.TLS != nil, perName: serverNamePlaceholder(ht.HTTPTransport),
		}, nil
	}
	rt, err := t.module(raw)
	if err != nil {
		return nil, err
	}
	tr := &transport{variant: v, RoundTripper: rt, foreign: true}
	if ppt, ok := rt.(reverseproxy.ProxyProtocolTransport); ok {
		tr.perClient = ppt.ProxyProtocolEnabled()
	}
	if ops, ok := rt.(reverseproxy.RequestHeaderOpsTransport); ok {
		tr.headerOps = ops.RequestHeaderOps()
		if err := tr.headerOps.Provision(t.ctx); err != nil {
			return nil, fmt.Errorf("header operations of the transport: %w", err)
		}
	}
	return tr, nil
}

// transportProtocol is the name of the transport module.
func transportProtocol(raw json.RawMessage) string {
	var kind struct {
		Protocol string `json:"protocol"`
	}
	if len(raw) == 0 || json.Unmarshal(raw, &kind) != nil || kind.Protocol == "" {
		return "http"
	}
	return kind.Protocol
}

// transportScheme is the scheme of backends that name none: "https" when the transport has TLS, "h2c" when its
// versions have that, else "http".
func transportScheme(raw json.RawMessage) string {
	var config struct {
		TLS      *json.RawMessage `json:"tls"`
		Versions []string         `json:"versions"`
	}
	if len(raw) > 0 && json.Unmarshal(raw, &config) != nil {
		return "http"
	}
	switch {
	case config.TLS != nil && !strings.EqualFold(string(*config.TLS), "null"):
		return "https"
	case slices.Contains(config.Versions, "h2c"):
		return "h2c"
	default:
		return "http"
	}
}

// transportServerName is the TLS server name that the transport is configured with, for all backends.
func transportServerName(raw json.RawMessage) string {
	var config struct {
		TLS struct {
			ServerName string `json:"server_name"`
		} `json:"tls"`
	}
	if len(raw) == 0 || json.Unmarshal(raw, &config) != nil {
		return ""
	}
	return config.TLS.ServerName
}
