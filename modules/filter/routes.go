package filter

import (
	"errors"
	"net/http"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

func init() {
	caddy.RegisterModule(new(RequestRoutes))
	caddy.RegisterModule(new(UpstreamRequestRoutes))
	caddy.RegisterModule(new(ResponseRoutes))
}

// RequestRoutes runs routes of Caddy in the request phase: request_filter in a Caddyfile. A handler that does not pass the request on has
// answered it.
type RequestRoutes struct {
	// Routes are Caddy's routes, run in order.
	Routes caddyhttp.RouteList `json:"routes,omitempty"`
}

// CaddyModule returns the Caddy module information.
func (*RequestRoutes) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.lb_proxy.filters.request", New: func() caddy.Module { return new(RequestRoutes) }}
}

// Provision sets up the routes.
func (f *RequestRoutes) Provision(ctx caddy.Context) error { return f.Routes.Provision(ctx) }

// ServeHTTP implements caddyhttp.MiddlewareHandler.
func (f *RequestRoutes) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	return f.Routes.Compile(next).ServeHTTP(w, r)
}

// UpstreamRequestRoutes runs routes of Caddy on what is sent to a backend, for each try: upstream_request_filter in a Caddyfile. They
// see the placeholders of the backend, and change nothing of the client's request. They cannot answer it, only end it with
// an error.
type UpstreamRequestRoutes struct {
	// Routes are Caddy's routes, run in order.
	Routes caddyhttp.RouteList `json:"routes,omitempty"`
}

// CaddyModule returns the Caddy module information.
func (*UpstreamRequestRoutes) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.lb_proxy.filters.upstream_request", New: func() caddy.Module { return new(UpstreamRequestRoutes) }}
}

// Provision sets up the routes.
func (f *UpstreamRequestRoutes) Provision(ctx caddy.Context) error { return f.Routes.Provision(ctx) }

// UpstreamRequest implements [UpstreamRequestFilter].
func (f *UpstreamRequestRoutes) UpstreamRequest(_ *Context, r *http.Request) error {
	passed := false
	end := caddyhttp.HandlerFunc(func(_ http.ResponseWriter, changed *http.Request) error {
		passed = true
		if changed != r { // a handler has made a copy
			r.Method, r.URL, r.Header, r.Host = changed.Method, changed.URL, changed.Header, changed.Host
			r.Body, r.ContentLength, r.RequestURI = changed.Body, changed.ContentLength, changed.RequestURI
		}
		return nil
	})
	err := f.Routes.Compile(end).ServeHTTP(&noAnswer{header: make(http.Header)}, r)
	if err == nil && !passed {
		return errNoAnswerHere
	}
	return err
}

var errNoAnswerHere = errors.New("a handler of upstream_request_filter answers, which only one of request_filter can: move it there")

// noAnswer is the writer of a phase that has none.
type noAnswer struct{ header http.Header }

// Header implements http.ResponseWriter.
func (w *noAnswer) Header() http.Header { return w.header }

// WriteHeader implements http.ResponseWriter.
func (w *noAnswer) WriteHeader(int) {}

// Write implements http.ResponseWriter.
func (w *noAnswer) Write([]byte) (int, error) { return 0, errNoAnswerHere }

// ResponseRoutes runs routes of Caddy on the answer as the client is to get it: response_filter in a Caddyfile. A handler that does not pass it
// on has answered instead of the backend.
type ResponseRoutes struct {
	// Routes are Caddy's routes, run in order.
	Routes caddyhttp.RouteList `json:"routes,omitempty"`
}

// CaddyModule returns the Caddy module information.
func (*ResponseRoutes) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.lb_proxy.filters.response", New: func() caddy.Module { return new(ResponseRoutes) }}
}

// Provision sets up the routes.
func (f *ResponseRoutes) Provision(ctx caddy.Context) error { return f.Routes.Provision(ctx) }

// ServeResponse implements [ResponseMiddleware].
func (f *ResponseRoutes) ServeResponse(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	return f.Routes.Compile(next).ServeHTTP(w, r)
}

// Interface guards
var (
	_ caddyhttp.MiddlewareHandler = (*RequestRoutes)(nil)
	_ UpstreamRequestFilter       = (*UpstreamRequestRoutes)(nil)
	_ ResponseMiddleware          = (*ResponseRoutes)(nil)
)
