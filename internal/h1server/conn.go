package h1server

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

const readBufferSize = 4 << 10

var readers = sync.Pool{New: func() any { return bufio.NewReaderSize(nil, readBufferSize) }}

// conn is a client's connection. It serves one request at a time, on a goroutine that is there as long as the connection.
type conn struct {
	server *Server // changed by the goroutine only, which holds mu then
	nc     net.Conn
	tcp    *net.TCPConn // nc, if it is one
	br     *bufio.Reader

	ctx        context.Context // of no request, with what net/http knows of the connection
	remoteAddr string
	tls        *tls.ConnectionState
	lastPost   bool // the last request was a POST
	final      bool // the next request is the last one
	hijacked   bool
	idleArmed  time.Time   // when the deadline of the wait for requests was set; zero when there is none
	touched    atomic.Bool // somebody has set the deadline of reading since
	writeArmed atomic.Bool // there is a deadline of writing

	// For the moments of one call.
	vector  [3][]byte
	vectors net.Buffers
	sorting [16]field

	ahead []byte // read before and not used yet

	// writeError is the first error in writing, after which nothing is written any more.
	writeError atomic.Pointer[error]

	mu      sync.Mutex // guards what follows
	waiting bool       // for a request
	watch   watch
}

func newConn(s *Server) *conn {
	c := &conn{server: s}
	c.watch.ended.L = &c.mu
	return c
}

// Read implements io.Reader, for br: what was read ahead comes first. An error while a request is
// served tells that the client left, unless it is a time limit: the client may still be told of
// that.
func (c *conn) Read(p []byte) (int, error) {
	if len(c.ahead) > 0 {
		n := copy(p, c.ahead)
		if c.ahead = c.ahead[n:]; len(c.ahead) == 0 {
			c.ahead = nil
		}
		return n, nil
	}
	n, err := c.nc.Read(p)
	if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
		c.clientLeft()
	}
	return n, err
}

// serve serves x and the requests after it, until the connection ends.
func (c *conn) serve(x *exchange) {
	defer c.end()
	for x != nil {
		c.begin(x)
		if x.req.Method == http.MethodOptions && x.req.RequestURI == "*" {
			x.header["Content-Length"] = []string{"0"} // about the server, not about a resource (RFC 9110, section 9.3.7)
		} else {
			c.server.handler.ServeHTTP(x, x.req)
		}
		if c.hijacked {
			c.finish()
			return
		}
		reusable := x.finish()
		c.finish()
		if !reusable {
			if x.lingers() {
				c.linger()
			}
			return
		}
		x = c.next()
	}
}

// end closes the connection, unless it was hijacked, and takes care of a handler that panicked.
func (c *conn) end() {
	if err := recover(); err != nil {
		if err != http.ErrAbortHandler {
			buf := make([]byte, 64<<10)
			buf = buf[:runtime.Stack(buf, false)]
			c.server.options.Panicked(c.remoteAddr, err, buf)
		}
		if x := c.current(); x != nil && !c.hijacked {
			x.abandon()
		}
	}
	c.finish()
	if !c.hijacked {
		_ = c.nc.Close()
		c.release()
	}
	c.server.untrack(c)
}

// release gives the buffer back. Nobody reads any more.
func (c *conn) release() {
	c.br.Reset(nil)
	readers.Put(c.br)
	c.br = nil
}

// next waits for the next request and reads it. It returns nil when there is none, or none that is to be answered by the handler.
func (c *conn) next() *exchange {
	if !c.await() || c.lastPost && !c.skipEmptyLines() {
		return nil
	}
	x, err := c.readRequest()
	if err != nil {
		c.refuse(err)
		return nil
	}
	if !x.expect() {
		x.refuseExpectation()
		if x.lingers() {
			c.linger()
		}
		return nil
	}
	return x
}

// await waits for the first bytes of a request.
func (c *conn) await() bool {
	for {
		switch {
		case c.br.Buffered() == 0:
			c.armIdle()
		case c.touched.Swap(false):
			c.disarm()
		}
		c.setWaiting(true)
		if c.server.draining.Load() {
			// Drain may have found the connection not waiting yet.
			c.rouse(c.server)
		}
		_, err := c.br.Peek(1)
		c.setWaiting(false)
		if !c.server.draining.Load() {
			return err == nil
		}
		// The wait was cut short, or something has come just then.
		c.disarm()
		switch {
		case c.inherit():
			if err == nil {
				return true
			}
			if !errors.Is(err, os.ErrDeadlineExceeded) {
				return false
			}
		default:
			c.final = true
			return err == nil
		}
	}
}

// inherit gives the connection to a successor of its server. The next request is the last one: it would keep alive what the
// connection's context holds of an earlier configuration.
func (c *conn) inherit() bool {
	heir := c.server.heir(c)
	if heir == nil {
		return false
	}
	c.server.untrack(c)
	c.mu.Lock()
	c.server, c.final = heir, true
	c.mu.Unlock()
	return true
}

// armIdle sets the time at which the wait for a request ends, unless that was set a moment ago.
func (c *conn) armIdle() {
	limit := c.server.options.IdleTimeout
	at := time.Now()
	touched := c.touched.Swap(false)
	if limit > 0 {
		if !touched && !c.idleArmed.IsZero() && at.Sub(c.idleArmed) < limit/100 {
			return
		}
		c.idleArmed = at
		_ = c.nc.SetReadDeadline(at.Add(limit))
	} else if touched || !c.idleArmed.IsZero() {
		c.disarm()
	}
}

// disarm ends the deadline of the wait for requests.
func (c *conn) disarm() {
	c.idleArmed = time.Time{}
	_ = c.nc.SetReadDeadline(time.Time{})
}

func (c *conn) setWaiting(waiting bool) {
	c.mu.Lock()
	c.waiting = waiting
	c.mu.Unlock()
}

// rouse ends a wait for a request of s. The connection may have gone over to another server in the meantime.
func (c *conn) rouse(s *Server) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.waiting && c.server == s {
		_ = c.nc.SetReadDeadline(time.Unix(1, 0))
	}
}

// lingerTime is how long what a client still sends is taken in after an answer that did not wait for it. Closing the connection at once
// would reset it, and the client could lose the answer (RFC 9112, section 9.6).
const lingerTime = 500 * time.Millisecond

// Lingers reports whether w, or what it wraps, is an answer of this package's. Its server takes in
// by itself what a client still sends behind it.
func Lingers(w http.ResponseWriter) bool {
	for {
		switch known := w.(type) {
		case *exchange:
			return true
		case interface{ Unwrap() http.ResponseWriter }:
			w = known.Unwrap()
		default:
			return false
		}
	}
}

func (c *conn) linger() {
	if half, ok := c.nc.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite()
	}
	_ = c.nc.SetReadDeadline(time.Now().Add(lingerTime))
	_, _ = io.Copy(io.Discard, c.nc)
}
