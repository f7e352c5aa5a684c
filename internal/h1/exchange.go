package h1

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/net/http/httpguts"

	"github.com/caddylb/caddy-lb/internal/syntax"
)

// Exchange is one request with its answer. Set Request, call [Host.RoundTrip], use Response, call End. An Exchange is
// used once, by one goroutine but for End and the body's Close, which any may call once RoundTrip has returned. What sends the
// request's body may look at the Exchange, not at its Request, for a moment after End.
type Exchange struct {
	// Request is what is sent: method, URL, Host, Header, Body, ContentLength (-1: not known), Trailer. Its header
	// is sent as it is, but for Host and what says how the body ends. GetBody, when not nil, gives the body again.
	// The exchange ends when its context does.
	Request *http.Request

	// Context, when not nil, takes the place of the request's.
	Context context.Context

	// Host, when not empty, takes the place of the request's.
	Host string

	// Edit, when not nil, changes the header as it is written, so that the request can be one that must not change.
	Edit Edit

	// Connected, when not nil, is told of each connection that the exchange is tried on, before anything is sent.
	Connected Connected

	// Interim, when not nil, is given interim answers.
	Interim Interim

	// Response is the answer, when RoundTrip has returned nil. Its body gives the connection back when it is read
	// to its end; closed before that, it closes the connection. After 101 the body is an io.ReadWriteCloser
	// with CloseWrite, the connection itself.
	Response http.Response

	conn     *conn
	current  atomic.Pointer[conn] // conn, for Interrupt
	framing  framing
	body     answerBody
	upload   *upload
	last     bool                  // the connection serves no exchange after this one
	cause    atomic.Pointer[error] // why it was ended from outside; nil when it was not
	answered atomic.Bool           // the answer was read to its end
	ends     atomic.Bool           // the host counts it among those that end
	endBy    atomic.Int64          // when what End left has to be over, by now; 0 for never
	interims int                   // bytes of interim answers
}

// Edit is what to change of a request's header. An edited header's Connection field concerns another connection.
type Edit interface {
	// Omits reports whether the field with this name, in canonical form, is not sent.
	Omits(name string) bool

	// Added are fields to send behind the others.
	Added() []Field
}

// Field is one line of a header.
type Field struct{ Name, Value string }

// Connected learns of connections. Its error ends the exchange, of which the server has seen nothing.
type Connected interface {
	Connected(c net.Conn, reused bool) error
}

// Interim takes interim answers (1xx; RFC 9110, section 15.2) within RoundTrip. A body that waits
// for 100 (Continue) is first read when that was taken. An error ends the exchange.
type Interim interface {
	Interim(code int, header http.Header) error
}

// RoundTrip sends x's request on a connection of the host and reads the header of the answer. A connection that
// turns out closed is replaced by another, for any request that the server cannot have seen, and for idempotent
// ones (RFC 9110, section 9.2.2) as long as no byte of an answer came. The error is an [*Error], or what ended the
// request's context.
func (h *Host) RoundTrip(x *Exchange) error {
	for fresh := false; ; fresh = true {
		c, err := h.take(x, fresh)
		if err != nil {
			if cause := x.ended(); cause != nil {
				err = cause
			}
			return &Error{Phase: Connecting, Unseen: true, Err: err}
		}
		if x.Connected != nil {
			if err := x.announce(c); err != nil {
				return &Error{Phase: Connecting, Unseen: true, Err: err}
			}
		}
		failure := x.try(c)
		if failure == nil {
			return nil
		}
		if !x.rewind(failure) {
			return failure
		}
	}
}

// announce tells Connected of the connection, which is given back if it is not to be used, by an error or a panic.
func (x *Exchange) announce(c *conn) (err error) {
	wanted := false
	defer func() {
		if !wanted {
			c.host.put(c)
		}
	}()
	err = x.Connected.Connected(c, c.reused)
	wanted = err == nil
	return err
}

func (x *Exchange) context() context.Context {
	if x.Context != nil {
		return x.Context
	}
	return x.Request.Context()
}

// rewind prepares x for another try, and reports whether it may have one.
func (x *Exchange) rewind(failure *Error) bool {
	if !failure.Reused || failure.Phase != Sending || x.cause.Load() != nil || x.context().Err() != nil {
		return false
	}
	var invalid *RequestError
	if errors.As(failure, &invalid) || !failure.Unseen && !IsIdempotent(x.Request.Method) {
		return false
	}
	if !hasBody(x.Request) {
		return true
	}
	if x.Request.GetBody == nil {
		return false
	}
	body, err := x.Request.GetBody()
	if err != nil {
		return false
	}
	x.Request.Body = body
	return true
}

// IsIdempotent reports whether applying a request of this method twice is the same as once (RFC 9110, section 9.2.2).
func IsIdempotent(method string) bool {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace, http.MethodPut, http.MethodDelete:
		return true
	}
	return false
}

// try does the exchange on one connection.
func (x *Exchange) try(c *conn) *Error {
	x.conn, x.upload = c, nil
	x.last = x.Edit == nil && httpguts.HeaderValuesContainsToken(x.Request.Header["Connection"], "close")
	c.start(x)
	x.current.Store(c)
	if x.cause.Load() != nil {
		c.abort(x, nil) // Interrupt may have come before there was a connection to abort
	}
	err := x.send()
	switch {
	case err == nil:
		err = x.receive()
	case !c.reused && c.sent() > 0:
		// The server did not take all of the request, but may have given its answer before it closed the connection.
		x.last = true
		c.awaitHeader()
		if x.receive() == nil {
			return nil
		}
	}
	if err == nil {
		return nil
	}
	failure := &Error{Phase: Sending, Reused: c.reused, Err: x.explain(err)}
	x.stopUpload()
	var invalid *ProtocolError
	if c.len() > 0 || x.interims > 0 || errors.As(err, &invalid) {
		failure.Phase = Receiving
	} else {
		failure.Unseen = c.unseen(err)
		if c.reused && x.cause.Load() == nil {
			c.host.lifetime.ended(c.idleFor, now())
		}
	}
	c.abort(x, nil)
	c.releaseMemory()
	return failure
}

// unseen reports whether the server cannot have processed anything of the exchange that failed with err: no byte reached
// the socket, or the server ended the connection before it acknowledged any. A reset alone proves nothing.
func (c *conn) unseen(err error) bool {
	broken := c.wire.halt()
	sent := c.sent()
	if sent == 0 {
		return true
	}
	ended := errors.Is(err, io.EOF) || errors.Is(err, syscall.EPIPE)
	return ended && !broken && c.look.unacknowledged() >= sent
}

// explain gives the reason for an error that is the consequence of another one.
func (x *Exchange) explain(err error) error {
	if cause := x.cause.Load(); cause != nil {
		return *cause
	}
	if ctxErr := x.context().Err(); ctxErr != nil {
		return ctxErr
	}
	if x.upload != nil {
		if uploadErr := x.upload.failure(); uploadErr != nil && !errors.Is(uploadErr, net.ErrClosed) {
			return uploadErr
		}
	}
	if errors.Is(err, io.EOF) {
		return ErrClosedByServer
	}
	return err
}

// lingerTime is how long the last write of a request's body may take after the answer came.
const lingerTime = time.Second

// End ends the exchange, whatever state it is in: a connection that was not given back is closed. It may be
// called more than once.
func (x *Exchange) End() {
	c := x.conn
	if c == nil || x.framing.upgrade {
		return
	}
	if x.answered.Load() && !x.framing.close && x.upload != nil && x.upload.complete.Load() {
		// A server that has answered has the body, but whoever wrote the last of it may not have run since. It gives the
		// connection back.
		x.endBy.Store(int64(now() + lingerTime))
		return
	}
	c.abort(x, nil)
}

// AskedForBody reports whether the server let the request's body be sent: always, but for one with "Expect:
// 100-continue" that was answered without.
func (x *Exchange) AskedForBody() bool {
	u := x.upload
	if u == nil {
		return true
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.started
}

// maxAnnounced bounds the trailers whose names are passed on ahead. Others are passed on when they
// come.
const maxAnnounced = 1000

// announced are the names of trailers that a header announces, as keys of a header without values.
func announced(header http.Header) http.Header {
	lists, ok := header["Trailer"]
	if !ok {
		return nil
	}
	delete(header, "Trailer")
	trailer := make(http.Header)
	for _, list := range lists {
		for name := range strings.SplitSeq(list, ",") {
			if len(trailer) == maxAnnounced {
				return trailer
			}
			if name = syntax.Canonical(strings.Trim(name, " \t")); syntax.IsToken(name) && isTrailer(name) {
				trailer[name] = nil
			}
		}
	}
	return trailer
}

// isTrailer reports whether a field may stand behind the body (RFC 9110, section 6.5.1).
func isTrailer(name string) bool {
	switch name {
	case "Transfer-Encoding", "Content-Length", "Trailer", "Host", "Connection":
		return false
	}
	return true
}
