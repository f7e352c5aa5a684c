// Package filter is what may look at a request, and change or refuse it, on its way through lb_proxy: the phases, and the filters of
// this suite. A filter is a Caddy module http.lb_proxy.filters.* that has the method of one phase or of several. The phases are those of
// Pingora's ProxyHttp.
package filter

import (
	"io"
	"net"
	"net/http"
)

// The interfaces below are the phases, in the order of a request's way. In each phase filters run in the order in which they are
// configured. An error ends the request: it is logged with filter and phase and goes to handle_errors, with the status of a
// caddyhttp.Error and 500 for any other. A panic is such an error. Methods are called by one goroutine at a time for each
// request, and by many for different ones.

// EarlyRequestFilter sees a request before anything else of lb_proxy does.
type EarlyRequestFilter interface {
	EarlyRequest(x *Context) error
}

// RequestFilter sees a request before a backend is looked for. It may change x.Request, whose changes the access log shows, too, or write an
// answer to x.Writer and report that it did, which ends the request. A filter that is a caddyhttp.MiddlewareHandler is one of this
// phase as well: what follows is its next handler.
type RequestFilter interface {
	Request(x *Context) (answered bool, err error)
}

// RequestBodyFilter is put before the client's body, if there is one: what it returns is sent. It streams: it reads as much as it is asked
// for. A body of another length must say so in x.Request.ContentLength, -1 for not known.
type RequestBodyFilter interface {
	RequestBody(x *Context, body io.ReadCloser) (io.ReadCloser, error)
}

// UpstreamSelectedFilter learns of the backend of each try: x.Member and x.Try.
type UpstreamSelectedFilter interface {
	UpstreamSelected(x *Context) error
}

// UpstreamRequestFilter may change what is sent to the backend of this try. r is of this try alone.
type UpstreamRequestFilter interface {
	UpstreamRequest(x *Context, r *http.Request) error
}

// ConnectedFilter learns of the connection that a try uses, before the request is sent on it. It may be called more than once for a try,
// when a connection turns out closed.
type ConnectedFilter interface {
	Connected(x *Context, c Connection) error
}

// Connection is a connection to a backend.
type Connection struct {
	Local, Remote net.Addr
	// Reused says that it has served a request before.
	Reused bool
}

// ConnectFailedFilter decides what becomes of a request whose backend could not be connected to. The first filter that does not leave it to
// lb_proxy decides.
type ConnectFailedFilter interface {
	ConnectFailed(x *Context, err error) Verdict
}

// Verdict is what a [ConnectFailedFilter] wants.
type Verdict int

// The verdicts.
const (
	// ByDefault leaves the decision to lb_proxy: the other backends are tried, then lb_retries counts.
	ByDefault Verdict = iota
	// AnotherBackend tries another backend, and all of them again when each has had its turn.
	AnotherBackend
	// GiveUp ends the request.
	GiveUp
)

// UpstreamResponseFilter sees a backend's answer as it came, before handle_response and header_down, and may change it.
type UpstreamResponseFilter interface {
	UpstreamResponse(x *Context, res *http.Response) error
}

// ResponseFilter sees the answer as the client is to get it, and may change the header and, by what it returns, the status. It runs for the
// answers of backends; those to requests that failed are errors.
type ResponseFilter interface {
	Response(x *Context, status int, header http.Header) (newStatus int, err error)
}

// ResponseBodyFilter is put behind the backend's body: what it returns goes to the client. It streams, and may take its time. One that
// changes the length must have removed Content-Length in the response phase. An error in reading breaks the answer off.
type ResponseBodyFilter interface {
	ResponseBody(x *Context, body io.ReadCloser) (io.ReadCloser, error)
}

// TrailersFilter may change the fields behind the answer's body. It is called for answers that have some.
type TrailersFilter interface {
	Trailers(x *Context, trailer http.Header) error
}

// FailureFilter sees the error that a request ends with, and returns the one to go on with: the same, or another one.
type FailureFilter interface {
	Failed(x *Context, err error) error
}

// LoggingFilter is told at the very end of a request, whatever became of it. err is nil when it was answered.
type LoggingFilter interface {
	Logging(x *Context, err error)
}
