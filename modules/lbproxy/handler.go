package lbproxy

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/headers"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/rewrite"
	"go.uber.org/zap"

	"github.com/caddylb/caddy-lb/modules/filter"
)

func init() {
	caddy.RegisterModule(Handler{})
}

// Handler is a load-balancing reverse proxy: reverse_proxy's configuration, meaning and placeholders, over the
// pools of this suite. A handler either has the backends of its own [PoolConfig] or names a pool of the lb app.
//
// A failure to connect is tried on every other backend whatever the method; other failures as LoadBalancing
// says. Without an available backend the client gets 503, without a connection 502, at a time limit 504.
type Handler struct {
	// PoolConfig is the handler's own pool. With PoolName, only what concerns single requests is used of it:
	// retries and the transport.
	PoolConfig

	// PoolName is a pool of the lb app to use instead of own backends.
	PoolName string `json:"pool,omitempty"`

	// FlushInterval is how often what the backend sent is flushed to the client. 0 leaves it to the server's
	// buffers, a negative value flushes after each read. Streams (server-sent events, bodies of unknown
	// length, HTTP/2 both ways) are always flushed at once.
	FlushInterval caddy.Duration `json:"flush_interval,omitempty"`

	// TrustedProxies are the IP ranges whose X-Forwarded-* fields are believed, besides those that the server
	// trusts. Default: none.
	TrustedProxies []string `json:"trusted_proxies,omitempty"`

	// Headers changes the header on its way to the backend and back.
	Headers *headers.Handler `json:"headers,omitempty"`

	// RequestBuffers is up to how many bytes of the request's body are read before a backend is asked; -1 is
	// all of it. A body that fits is sent with its length, and can be sent again. Default: 0, it is streamed.
	RequestBuffers int64 `json:"request_buffers,omitempty"`

	// ResponseBuffers is up to how many bytes of the answer's body are read before the client gets any; -1 is
	// all of it. Default: 0, it is streamed.
	ResponseBuffers int64 `json:"response_buffers,omitempty"`

	// ProxyStatusName names this proxy in the Proxy-Status field (RFC 9209) of refused messages. Default:
	// none, and no such field.
	ProxyStatusName string `json:"proxy_status_name,omitempty"`

	// StreamTimeout closes upgraded connections that are older. Default: 0, none.
	StreamTimeout caddy.Duration `json:"stream_timeout,omitempty"`

	// StreamBufferSize is the size of the buffer for each direction of an upgraded connection. Default: 32 KiB.
	StreamBufferSize int `json:"stream_buffer_size,omitempty"`

	// StreamCloseDelay is how long upgraded connections outlive the configuration they began under. Default: 0.
	StreamCloseDelay caddy.Duration `json:"stream_close_delay,omitempty"`

	// Rewrite changes method and URI of what is sent to the backend, not of the request itself.
	Rewrite *rewrite.Rewrite `json:"rewrite,omitempty"`

	// HandleResponse are routes, or other status codes, for answers that match. The first match counts.
	HandleResponse []caddyhttp.ResponseHandler `json:"handle_response,omitempty"`

	// Hedge has a request that takes long given to a second backend as well. Default: never.
	Hedge *Hedge `json:"hedge,omitempty"`

	// Mirrors are given copies of requests; their answers are thrown away.
	Mirrors []*Mirror `json:"mirror,omitempty"`

	// VerboseLogs logs more at debug level.
	VerboseLogs bool `json:"verbose_logs,omitempty"`

	// FiltersRaw are filters, which see the request in each of its phases, in this order.
	FiltersRaw []json.RawMessage `json:"filters,omitempty" caddy:"namespace=http.lb_proxy.filters inline_key=filter"`

	// FilterTimeout bounds each call of a filter, by the context that the filter gets. Default: 0, no bound.
	FilterTimeout caddy.Duration `json:"filter_timeout,omitempty"`

	app            *App
	pool           *pool
	ways           *transports
	filters        *filter.Chain // nil without filters
	filterModules  []any         // what filters was made of
	trustedProxies []netip.Prefix
	retry          retryRules
	hedging        *hedging // nil without Hedge
	mirrors        *mirrors // nil without Mirrors
	plain          bool     // mayBePlain
	errorRoutes    bool     // a subroute around the handler has routes for errors
	requestBuffers int64    // RequestBuffers, or what the transport asks for
	answerBuffers  int64    // ResponseBuffers, or what the transport asks for
	streams        *streams
	logger         *zap.Logger

	// While adapting a Caddyfile: the named response matchers, and the handle_response blocks.
	responseMatchers       map[string]caddyhttp.ResponseMatcher
	handleResponseSegments []*caddyfile.Dispenser
	filterBlocks           []filterBlock

	// shorthand are the subdirectives that lb_forward_auth or lb_php_fastcgi adds to those of
	// lb_proxy, while adapting a Caddyfile.
	shorthand map[string]func(*caddyfile.Dispenser) error

	// pools are those that lb_pool options define, while adapting a Caddyfile; nil when unknown.
	pools map[string]*PoolConfig

	hedgeAt *caddyfile.Dispenser // on the hedge option, while adapting a Caddyfile

	// Of the mistakes while adapting a Caddyfile: what is to be told, and addresses that are one
	// word.
	warnings []caddyconfig.Warning
	words    map[string]caddyconfig.Warning

	filtersText  []json.RawMessage // FiltersRaw, which is gone once the filters are loaded
	filterDoubts []string          // warnings
}

// CaddyModule returns the Caddy module information.
func (Handler) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.handlers.lb_proxy",
		New: func() caddy.Module { return new(Handler) },
	}
}

// Provision sets the handler up and takes its pool.
func (h *Handler) Provision(ctx caddy.Context) error {
	h.logger = ctx.Logger()
	if err := serveClients(ctx); err != nil {
		return err
	}
	h.streams = newStreams(h.logger)
	if h.RequestBuffers < 0 || h.ResponseBuffers < 0 {
		h.logger.Warn("buffering without a limit: one large body can take all memory")
	}
	if err := h.provisionRequestSide(ctx); err != nil {
		return err
	}
	if err := h.provisionHandleResponse(ctx); err != nil {
		return err
	}
	if err := h.provisionFilters(ctx); err != nil {
		return err
	}
	var err error
	if h.pool, err = h.acquirePool(ctx); err != nil {
		return err
	}
	h.app.markUsed(h)
	h.app.warn(h.filterDoubts...)
	h.ways, h.errorRoutes = h.pool.ways, withinErrorRoutes(ctx)
	if h.PoolName != "" && h.TransportRaw != nil {
		var own []memberSpec
		for _, m := range h.pool.Snapshot().Members {
			own = append(own, memberSpec{address: m.Address(), serverName: m.ServerName})
		}
		if h.ways, err = newTransports(ctx, h.PoolName, h.TransportRaw, variantsOf(own)); err != nil {
			return err
		}
		h.pool.noteModules(h.ways, own)
	}
	if h.Hedge != nil {
		if err := h.provisionHedge(); err != nil && h.Hedge.Optional {
			h.logger.Info("requests are not hedged", zap.Error(err))
		} else if err != nil {
			return fmt.Errorf("hedge: %w", err)
		}
	}
	if len(h.Mirrors) > 0 {
		if err := h.provisionMirrors(ctx); err != nil {
			return fmt.Errorf("mirror: %w", err)
		}
	}
	h.requestBuffers, h.answerBuffers = h.RequestBuffers, h.ResponseBuffers
	h.plain = h.mayBePlain()
	if h.requestBuffers == 0 {
		h.requestBuffers = h.ways.requestBuffers
	}
	if h.answerBuffers == 0 {
		h.answerBuffers = h.ways.answerBuffers
	}
	return nil
}

func (h *Handler) provisionRequestSide(ctx caddy.Context) error {
	for _, s := range h.TrustedProxies {
		prefix, err := parseIPRange(s)
		if err != nil {
			return err
		}
		h.trustedProxies = append(h.trustedProxies, prefix)
	}
	if h.Headers != nil {
		if err := h.Headers.Provision(ctx); err != nil {
			return fmt.Errorf("headers: %w", err)
		}
	}
	if h.Rewrite != nil {
		if err := h.Rewrite.Provision(ctx); err != nil {
			return fmt.Errorf("rewrite: %w", err)
		}
	}
	if err := h.retry.provision(ctx, h.LoadBalancing); err != nil {
		return err
	}
	return nil
}

// Cleanup closes upgraded connections, at once or after StreamCloseDelay, and gives the pool back.
func (h *Handler) Cleanup() error {
	h.streams.closeAfter(time.Duration(h.StreamCloseDelay))
	h.mirrors.close()
	h.releasePool()
	return nil
}

// ServeHTTP serves one request. Its error is one of [caddyhttp.Error] with the status that fits.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	if !h.app.identified.Load() { // servers may accept before the lb app has started
		h.app.identifyAll()
	}
	var err error
	if h.filters == nil {
		err = h.proxy(h.newExchange(w, r, next))
	} else {
		err = h.serveFiltered(w, r, next)
	}
	if err != nil {
		return h.settle(w, r, err)
	}
	return nil
}

// proxy takes one request through its phases: prepare, find a backend that answers, give the answer to the client.
func (h *Handler) proxy(ex *exchange) error {
	defer ex.finish()
	if !ex.base.awaitFirstChecks(ex.in.Context()) {
		return ex.fail(newFailure(causeCanceled, ex.in.Context().Err()))
	}
	if f := ex.prepare(); f != nil {
		return ex.fail(f)
	}
	ex.mirror(false)
	a, f := ex.obtain()
	if f != nil {
		return ex.fail(f)
	}
	defer a.release()
	a.settleTrial()
	return ex.respond(a)
}

// parseIPRange reads one address or a range in CIDR notation.
func parseIPRange(s string) (netip.Prefix, error) {
	if strings.Contains(s, "/") {
		p, err := netip.ParsePrefix(s)
		if err != nil {
			return p, fmt.Errorf("trusted_proxies: %q is not a range like 10.0.0.0/8: %w", s, err)
		}
		return p, nil
	}
	a, err := netip.ParseAddr(s)
	if err != nil {
		return netip.Prefix{}, fmt.Errorf("trusted_proxies: %q is neither an address nor a range like 10.0.0.0/8: %w", s, err)
	}
	return netip.PrefixFrom(a, a.BitLen()), nil
}

// Interface guards
var (
	_ caddy.Provisioner           = (*Handler)(nil)
	_ caddy.CleanerUpper          = (*Handler)(nil)
	_ caddyhttp.MiddlewareHandler = (*Handler)(nil)
)
