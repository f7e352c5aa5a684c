package filter

import (
	"context"
	"net/http"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/caddylb/caddy-lb/lb"
)

// Context is one request on its way through lb_proxy, the same for all filters and phases.
type Context struct {
	// Request is the client's. Filters of the request phase may change it; later ones must not.
	Request *http.Request

	// Writer is the client's answer. Only filters of the request phase may write to it; all may set fields of its header until the
	// answer begins.
	Writer http.ResponseWriter

	// Replacer replaces placeholders, those of the backend included once there is one.
	Replacer *caddy.Replacer

	// Logger is the handler's.
	Logger *zap.Logger

	// Pool is the name of the pool that the request goes to.
	Pool string

	// Try counts the backends that the request was given to; 0 before the first.
	Try int

	// Member is the backend of the current try; nil before the first.
	Member *lb.Member

	route  Router
	ctx    context.Context // with the deadline of a filter's call; nil without one
	values []value
}

// Router changes where a request goes. It is lb_proxy's.
type Router interface {
	// UsePool gives the request to another pool of the lb app.
	UsePool(name string) error
}

type value struct{ key, value any }

// NewContext is for tests of filters.
func NewContext(w http.ResponseWriter, r *http.Request, pool string, logger *zap.Logger) *Context {
	x := MakeContext(w, r, pool, logger)
	return &x
}

// MakeContext is for lb_proxy.
func MakeContext(w http.ResponseWriter, r *http.Request, pool string, logger *zap.Logger) Context {
	repl, _ := r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer)
	return Context{Request: r, Writer: w, Replacer: repl, Logger: logger, Pool: pool}
}

// SetRouter is for lb_proxy.
func (x *Context) SetRouter(r Router) { x.route = r }

// Context ends when the client leaves, and when the time for a filter is over (filter_timeout).
func (x *Context) Context() context.Context {
	if x.ctx != nil {
		return x.ctx
	}
	return x.Request.Context()
}

// UsePool has the request go to another pool of the lb app. It is for the request phase.
func (x *Context) UsePool(name string) error {
	if x.route == nil {
		return errNoRouter
	}
	if err := x.route.UsePool(name); err != nil {
		return err
	}
	x.Pool = name
	return nil
}

// Set keeps a value for later phases. The key is usually the filter itself; it has to be comparable.
func (x *Context) Set(key, val any) {
	for i := range x.values {
		if x.values[i].key == key {
			x.values[i].value = val
			return
		}
	}
	x.values = append(x.values, value{key, val})
}

// Get returns what was kept with Set; nil for nothing.
func (x *Context) Get(key any) any {
	for i := range x.values {
		if x.values[i].key == key {
			return x.values[i].value
		}
	}
	return nil
}
