package h1server

import (
	"context"
	"net/http"
	"sync"
	"sync/atomic"
)

// exchange is one request with its answer: the handler's ResponseWriter. It is used once, as handlers may hold on to it.
type exchange struct {
	c      *conn
	req    *http.Request
	cancel context.CancelFunc
	body   body

	// Of the request.
	http10      bool
	keepAlive10 bool // HTTP/1.0 with Connection: keep-alive
	wantsClose  bool

	// Of the answer.
	header        http.Header
	status        int   // 0 until WriteHeader
	contentLength int64 // as the handler gave it; -1 if it did not
	written       int64 // of the body, by the handler
	trailers      []string
	fields        fields
	closes        bool // the connection ends with the answer
	unread        bool // some of the request's body is, when all is over
	fullDuplex    bool
	done          atomic.Bool // the handler is
	writeTimed    atomic.Bool // the request has set the deadline of writing
	isHijacked    atomic.Bool

	out     *[]byte // what is to be sent; nil when there is nothing
	pending *[]byte // of the body, while the header is open or a chunk is not full
	chunked bool

	interim sync.Mutex // held while an interim answer is written, or forbidden
}

var none http.Request

// newExchange returns an exchange with an empty request, whose context ends with it.
func (c *conn) newExchange() *exchange {
	x := &exchange{c: c, contentLength: -1, header: make(http.Header, 8)}
	var ctx context.Context
	ctx, x.cancel = context.WithCancel(c.ctx)
	x.req = none.WithContext(ctx)
	x.req.RemoteAddr, x.req.TLS = c.remoteAddr, c.tls
	x.closes = c.final
	return x
}

// finish completes the answer when the handler is done. It reports whether the connection can serve another request.
func (x *exchange) finish() (reusable bool) {
	x.done.Store(true)
	if x.status == 0 {
		x.WriteHeader(http.StatusOK)
	}
	x.closeHeader()
	_ = x.sendPending() // flush tells of an error again
	if x.chunked {
		x.endChunks()
	}
	err := x.flush()
	x.giveBack()
	complete := x.body.finish(!x.closes && err == nil)
	x.unread = !complete
	if x.req.MultipartForm != nil {
		_ = x.req.MultipartForm.RemoveAll()
	}
	if err != nil || !complete || x.closes {
		return false
	}
	short := x.contentLength >= 0 && x.contentLength != x.written
	return !short || x.req.Method == http.MethodHead || !allowsBody(x.status)
}

// lingers reports whether the client may be sending still, so that the connection must not be closed at once.
func (x *exchange) lingers() bool { return x.unread && x.c.failed() == nil }

// abandon ends an answer whose handler panicked. What is not on its way for sure is not sent, so that no answer seems complete.
func (x *exchange) abandon() {
	if x.fields.closed && x.written > pendingSize {
		_ = x.flush()
	}
	x.cancel()
	x.body.finish(false)
	x.giveBack()
}

// Memory for what is to be sent.
const (
	outSize = 4 << 10

	// pendingSize is how much of an answer's body is held back to learn its length, as by net/http.
	pendingSize = 2 << 10
)

var (
	outBuffers     = sync.Pool{New: func() any { p := make([]byte, 0, outSize); return &p }}
	pendingBuffers = sync.Pool{New: func() any { p := make([]byte, 0, pendingSize); return &p }}
)

// giveBack gives the memory back.
func (x *exchange) giveBack() {
	if x.out != nil && cap(*x.out) <= 4*outSize {
		*x.out = (*x.out)[:0]
		outBuffers.Put(x.out)
	}
	if x.pending != nil {
		*x.pending = (*x.pending)[:0]
		pendingBuffers.Put(x.pending)
	}
	x.out, x.pending = nil, nil
}

func allowsBody(status int) bool {
	return status >= 200 && status != http.StatusNoContent && status != http.StatusNotModified
}
