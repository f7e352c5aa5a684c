package filter

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"runtime/debug"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// Named is a filter with its module's name.
type Named struct {
	Name   string
	Filter any
}

// stage is a filter in one phase.
type stage[F any] struct {
	name   string
	filter F
}

// Chain is filters by phase, so that a phase without filters costs a look at an empty slice. A nil Chain has none.
type Chain struct {
	timeout time.Duration

	early            []stage[EarlyRequestFilter]
	request          []stage[any] // RequestFilter or caddyhttp.MiddlewareHandler
	requestBody      []stage[RequestBodyFilter]
	selected         []stage[UpstreamSelectedFilter]
	upstreamRequest  []stage[UpstreamRequestFilter]
	connected        []stage[ConnectedFilter]
	connectFailed    []stage[ConnectFailedFilter]
	upstreamResponse []stage[UpstreamResponseFilter]
	response         []stage[any] // ResponseFilter or ResponseMiddleware
	responseBody     []stage[ResponseBodyFilter]
	trailers         []stage[TrailersFilter]
	failed           []stage[FailureFilter]
	logging          []stage[LoggingFilter]
}

// ResponseMiddleware is a filter of the response phase that wraps the client's ResponseWriter, as Caddy's handlers do: next writes the
// answer.
type ResponseMiddleware interface {
	ServeResponse(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error
}

// NewChain sorts filters into phases. timeout bounds each call of a filter, by the context that it gets; 0 is no bound. A filter
// without a phase is an error.
func NewChain(filters []Named, timeout time.Duration) (*Chain, error) {
	c := &Chain{timeout: timeout}
	for _, f := range filters {
		n := add(&c.early, f) + add(&c.requestBody, f) + add(&c.selected, f) + add(&c.upstreamRequest, f) + add(&c.connected, f) +
			add(&c.connectFailed, f) + add(&c.upstreamResponse, f) + add(&c.responseBody, f) + add(&c.trailers, f) +
			add(&c.failed, f) + add(&c.logging, f)
		switch f.Filter.(type) {
		case RequestFilter, caddyhttp.MiddlewareHandler:
			c.request = append(c.request, stage[any]{f.Name, f.Filter})
			n++
		}
		switch f.Filter.(type) {
		case ResponseFilter, ResponseMiddleware:
			c.response = append(c.response, stage[any]{f.Name, f.Filter})
			n++
		}
		if n == 0 {
			return nil, fmt.Errorf("the module %s has the method of no phase of lb_proxy", f.Name)
		}
	}
	return c, nil
}

func add[F any](to *[]stage[F], f Named) int {
	if filter, ok := f.Filter.(F); ok {
		*to = append(*to, stage[F]{f.Name, filter})
		return 1
	}
	return 0
}

// ChangesUpstreamRequest reports whether a filter has to be shown what is sent to backends.
func (c *Chain) ChangesUpstreamRequest() bool {
	return c != nil && (len(c.upstreamRequest) > 0 || len(c.requestBody) > 0)
}

// ChangesResponse reports whether a filter is of the response or response body phases.
func (c *Chain) ChangesResponse() bool {
	return c != nil && (len(c.response) > 0 || len(c.responseBody) > 0)
}

// WatchesTries is the name of a filter that is of a phase of single tries: selected, upstream request, connected, connect failed or upstream
// response. It is empty when there is none.
func (c *Chain) WatchesTries() string {
	if c == nil {
		return ""
	}
	for _, name := range []string{
		first(c.selected), first(c.upstreamRequest), first(c.connected), first(c.connectFailed), first(c.upstreamResponse),
	} {
		if name != "" {
			return name
		}
	}
	return ""
}

// first is the name of a phase's first filter; empty when it has none.
func first[F any](stages []stage[F]) string {
	if len(stages) == 0 {
		return ""
	}
	return stages[0].name
}

// WatchesConnections reports whether a filter wants to know the connections that are used.
func (c *Chain) WatchesConnections() bool { return c != nil && len(c.connected) > 0 }

// call runs one filter within its time, and makes a panic an error.
func (c *Chain) call(x *Context, name, phase string, run func() error) (err error) {
	defer c.leave(x, name, phase, c.enter(x), &err)
	return run()
}

// entry is what leave has to undo of enter.
type entry struct {
	outer  context.Context
	cancel context.CancelFunc
}

// enter begins the call of a filter.
func (c *Chain) enter(x *Context) entry {
	if c.timeout <= 0 {
		return entry{}
	}
	e := entry{outer: x.ctx}
	x.ctx, e.cancel = context.WithTimeout(x.Context(), c.timeout)
	return e
}

// leave ends it. It is to be deferred: it makes a panic an error, gives errors the filter's name, and finds filters that are late.
func (c *Chain) leave(x *Context, name, phase string, e entry, err *error) {
	if v := recover(); v != nil {
		if v == http.ErrAbortHandler {
			panic(v)
		}
		*err = &panicked{v, debug.Stack()}
	}
	if e.cancel != nil {
		if *err == nil && x.ctx.Err() == context.DeadlineExceeded {
			*err = errLate
		}
		e.cancel()
		x.ctx = e.outer
	}
	if *err != nil {
		*err = newError(name, phase, *err)
	}
}

// each runs a phase whose filters do nothing but succeed or fail.
func each[F any](c *Chain, x *Context, stages []stage[F], phase string, run func(F) error) error {
	for i := range stages {
		if err := c.call(x, stages[i].name, phase, func() error { return run(stages[i].filter) }); err != nil {
			return err
		}
	}
	return nil
}

// EarlyRequest runs the phase of [EarlyRequestFilter].
func (c *Chain) EarlyRequest(x *Context) error {
	if c == nil || len(c.early) == 0 {
		return nil
	}
	return each(c, x, c.early, "early request", func(f EarlyRequestFilter) error { return f.EarlyRequest(x) })
}

// Next is what follows the request phase.
type Next interface {
	Next() error
}

// NextFunc is a function as a [Next].
type NextFunc func() error

// Next implements [Next].
func (f NextFunc) Next() error { return f() }

// Request runs the phase of [RequestFilter], and then next, unless a filter answered. x has the writer and the request that the filters pass
// on.
func (c *Chain) Request(x *Context, next Next) error {
	if c == nil {
		return next.Next()
	}
	return c.requestFrom(0, x, next)
}

func (c *Chain) requestFrom(i int, x *Context, next Next) error {
	for ; i < len(c.request); i++ {
		s := &c.request[i]
		if f, ok := s.filter.(RequestFilter); ok {
			if answered, err := c.requestBy(s.name, f, x); err != nil || answered {
				return err
			}
			continue
		}
		return c.wrap(x, s.name, "request", s.filter.(caddyhttp.MiddlewareHandler).ServeHTTP, func() error {
			return c.requestFrom(i+1, x, next)
		})
	}
	return next.Next()
}

// requestBy is call for the phase that most filters are of, without an allocation.
func (c *Chain) requestBy(name string, f RequestFilter, x *Context) (answered bool, err error) {
	defer c.leave(x, name, "request", c.enter(x), &err)
	return f.Request(x)
}

// wrap runs a handler of Caddy around next. An error of next stays what it is. The time for a filter does not count, since next takes as
// long as it takes.
func (c *Chain) wrap(x *Context, name, phase string, serve func(http.ResponseWriter, *http.Request, caddyhttp.Handler) error, next func() error) error {
	var inner error
	err := serve(x.Writer, x.Request, caddyhttp.HandlerFunc(func(w http.ResponseWriter, r *http.Request) error {
		x.Writer, x.Request = w, r
		inner = next()
		return inner
	}))
	if err != nil && err != inner {
		return newError(name, phase, err)
	}
	return err
}

// RequestBody puts the filters of the phase before the body.
func (c *Chain) RequestBody(x *Context, body io.ReadCloser) (io.ReadCloser, error) {
	if c == nil || body == nil || body == http.NoBody {
		return body, nil
	}
	err := each(c, x, c.requestBody, "request body", func(f RequestBodyFilter) (err error) {
		body, err = f.RequestBody(x, body)
		return err
	})
	if len(c.requestBody) > 0 && err == nil {
		body = &guarded{body}
	}
	return body, err
}

// UpstreamSelected runs the phase of [UpstreamSelectedFilter].
func (c *Chain) UpstreamSelected(x *Context) error {
	if c == nil || len(c.selected) == 0 {
		return nil
	}
	return each(c, x, c.selected, "upstream selected", func(f UpstreamSelectedFilter) error { return f.UpstreamSelected(x) })
}

// UpstreamRequest runs the phase of [UpstreamRequestFilter].
func (c *Chain) UpstreamRequest(x *Context, r *http.Request) error {
	if c == nil || len(c.upstreamRequest) == 0 {
		return nil
	}
	return each(c, x, c.upstreamRequest, "upstream request", func(f UpstreamRequestFilter) error { return f.UpstreamRequest(x, r) })
}

// Connected runs the phase of [ConnectedFilter].
func (c *Chain) Connected(x *Context, conn Connection) error {
	if c == nil || len(c.connected) == 0 {
		return nil
	}
	return each(c, x, c.connected, "connected", func(f ConnectedFilter) error { return f.Connected(x, conn) })
}

// ConnectFailed runs the phase of [ConnectFailedFilter]. A filter that fails itself ends the request.
func (c *Chain) ConnectFailed(x *Context, failure error) (verdict Verdict, err error) {
	if c == nil {
		return ByDefault, nil
	}
	for i := range c.connectFailed {
		s := &c.connectFailed[i]
		err = c.call(x, s.name, "connect failed", func() error {
			verdict = s.filter.ConnectFailed(x, failure)
			return nil
		})
		if err != nil || verdict != ByDefault {
			return verdict, err
		}
	}
	return ByDefault, nil
}
