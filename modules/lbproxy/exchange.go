package lbproxy

import (
	"io"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddylb/caddy-lb/internal/h1"
	"github.com/caddylb/caddy-lb/lb"
	"github.com/caddylb/caddy-lb/modules/filter"
	"github.com/caddylb/caddy-lb/modules/selection"
)

// exchange is one request on its way through the handler, over all its tries. It is not pooled: transports may
// still hold the request, and the access log reads placeholders, when the handler has returned.
type exchange struct {
	h    *Handler
	w    http.ResponseWriter
	in   *http.Request // as the client sent it
	next caddyhttp.Handler
	repl *caddy.Replacer
	base *pool // the handler's, or one that a filter has chosen, or what took its place
	pool *pool // base, or the one that its dynamic source names for the request
	ways *transports

	pinned *lb.Snapshot  // of pool, that the request is to be given by; nil for the latest
	barred []*lb.Backend // of pinned, that are not for the request

	filtered *filter.Context // nil without filters
	bodyTap  *tap            // before the filters of the request's body; nil without them

	started time.Time
	took    atomic.Int64 // nanoseconds from started to the end; 0 until then

	// prev is the exchange of an earlier lb_proxy handler of the same request; its placeholders hold until
	// this one has its own.
	prev *exchange

	// added are the fields that a plain request is sent with; see isPlain.
	added    [4]h1.Field
	numAdded int

	// out is the request as every try starts from it: a copy of in, prepared for sending but for what depends
	// on the backend. The first try sends it itself. A plain request has none as long as the engine carries it.
	out         *http.Request
	url         url.URL     // of out, without scheme and host
	header      http.Header // of out, before what depends on the backend
	values      [5]string   // what the header fields set here point to
	incremental bool        // the client asked for incremental forwarding
	upgrade     string      // the protocol asked for in Upgrade; empty for none

	// body is the client's body; nil when there is none.
	body *requestBody

	trailer http.Header // names of the client's trailers that are passed on; nil for none

	// waiting is the body of a client that waits to be told to send it; nil for others.
	waiting *continuation

	// tunnel is the client's side of an extended CONNECT (RFC 8441, RFC 9220), where the body is one direction
	// of a WebSocket connection; nil for other requests.
	tunnel io.ReadCloser

	// over is closed at the end of the exchange; nil unless somebody waits for that.
	over chan struct{}

	pick    selection.Request
	first   attempt
	tries   int  // requests given to a backend
	again   int  // times that another backend was looked for
	granted int  // retries that the configuration allowed
	renew   bool // backends tried before may be tried again

	queued time.Duration // waited for a free place

	newest   *attempt   // has taken a place last; it may not be a try yet
	latest   *attempt   // the latest try; those before it follow
	spared   []spared   // backends that asked to be left alone
	retrying *poolState // where a retry under way is counted; nil when none is
	race     *race      // of the try that was hedged; nil when none was
	mirrored bool       // what is to be mirrored was

	// current is the latest try. It is read by placeholders, which a transport may evaluate on a goroutine of
	// its own while it connects.
	current atomic.Pointer[attempt]

	// handled is the try whose answer the routes of handle_response are running for; nil at all other times.
	handled *attempt

	// talked is set once a round trip ended, whatever it came to.
	talked atomic.Bool

	// failedTry is set while matchers decide about a try that failed without an answer.
	failedTry bool
}

// finish ends the exchange: what it holds of pooled memory is given back, the rest stays valid for logs.
func (ex *exchange) finish() {
	ex.took.Store(int64(max(time.Since(ex.started), 1)))
	ex.endRetry()
	ex.mirror(true)
	ex.logAccess()
	if ex.over != nil {
		close(ex.over)
	}
	if ex.body != nil {
		ex.endBody()
	}
}
