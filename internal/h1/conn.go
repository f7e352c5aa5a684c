package h1

import (
	"context"
	"errors"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// conn is a connection to a server. It serves one exchange at a time, which owns it meanwhile.
type conn struct {
	net.Conn       // what is read and written: the wire, or TLS over it
	wire     *wire // what can be closed without waiting for anybody
	host     *Host
	look     look

	owner     atomic.Pointer[Exchange]
	closed    atomic.Bool
	reused    bool          // it has served an exchange
	idleSince time.Duration // guarded by host.mu while it is idle
	idleFor   time.Duration // before the current exchange
	before    int64         // bytes sent before the current exchange

	// Of the current exchange. They are kept here, since a goroutine that still sends the body of an exchange's
	// earlier try must not touch those of the next one.
	headerBy atomic.Int64           // when the header is late, by now; 0 for never, or headerCame
	parts    atomic.Int32           // that have not ended well: the answer, and the upload if there is one
	upload   atomic.Pointer[upload] // whose head may still wait for the body

	buffer
	borrowed *[]byte // the buffer's memory, nil when it has none or has grown
}

// wire is the connection itself, with a count of what was sent.
type wire struct {
	net.Conn
	writing sync.Mutex   // held while something is written; readers take it only when all is over
	sent    atomic.Int64 // changed with writing held
	broken  bool         // a write failed otherwise than because the server has ended the connection; guarded by writing
	halted  bool         // nothing more is to be written; guarded by writing
	dry     bool         // nothing is to be read; for the reader's goroutine
}

// Read implements io.Reader.
func (w *wire) Read(p []byte) (int, error) {
	if w.dry {
		return 0, os.ErrDeadlineExceeded // TLS can go on after an error of this kind
	}
	return w.Conn.Read(p)
}

// Write implements io.Writer.
func (w *wire) Write(p []byte) (int, error) {
	w.writing.Lock()
	defer w.writing.Unlock()
	if w.halted {
		return 0, os.ErrDeadlineExceeded
	}
	n, err := w.Conn.Write(p)
	w.sent.Add(int64(n))
	if err != nil && !errors.Is(err, syscall.EPIPE) && !errors.Is(err, os.ErrDeadlineExceeded) {
		w.broken = true
	}
	return n, err
}

// halt keeps anything more from being written, and waits for what is being written just now. It reports whether a write took
// note of an error of the connection: the kernel tells of it only once, and afterwards a reader finds a plain end, as if
// the server had closed the connection in order.
func (w *wire) halt() (broken bool) {
	_ = w.SetWriteDeadline(time.Unix(1, 0))
	w.writing.Lock()
	defer w.writing.Unlock()
	w.halted = true
	return w.broken
}

// CloseWrite closes the direction to the server, if the connection can do that.
func (w *wire) CloseWrite() error { return closeWrite(w.Conn) }

// closeWrite closes the direction from here, if the connection can do that.
func closeWrite(nc net.Conn) error {
	if half, ok := nc.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return errors.ErrUnsupported
}

// connect makes a connection to a host.
func connect(ctx context.Context, h *Host) (*conn, error) {
	o := &h.client.options
	nc, err := o.Dial(ctx, h.key)
	if err != nil {
		return nil, err
	}
	c := &conn{wire: &wire{Conn: nc}, host: h}
	c.Conn = c.wire
	if o.Handshake != nil {
		if c.Conn, err = o.Handshake(ctx, c.wire); err != nil {
			return nil, err
		}
	}
	if sc, ok := nc.(syscall.Conn); ok {
		c.look.prepare(sc)
	}
	return c, nil
}

// start gives the connection to x, with memory for its buffer.
func (c *conn) start(x *Exchange) {
	c.headerBy.Store(0)
	c.parts.Store(1)
	c.owner.Store(x)
	c.before = c.wire.sent.Load()
	if c.mem == nil {
		c.borrowed = c.host.client.memory.get()
		c.mem = *c.borrowed
	}
	c.host.client.watcher.wake()
}

// releaseMemory gives the buffer's memory back. Nobody reads any more.
func (c *conn) releaseMemory() {
	if c.borrowed != nil {
		c.host.client.memory.put(c.borrowed)
	}
	c.buffer, c.borrowed = buffer{}, nil
}

// sent is how many bytes of the current exchange went to the wire.
func (c *conn) sent() int64 { return c.wire.sent.Load() - c.before }

// alive reports whether an idle connection can take a request: it was not closed, and the server has sent nothing
// unasked. What it sent could otherwise be taken for the answer to the next request.
func (c *conn) alive() bool { return !c.closed.Load() && c.look.quiet() }

// drained reports whether everything that was received has been read, but for what is in the socket, which alive looks
// at: TLS may hold bytes behind the answer, or its end.
func (c *conn) drained() bool {
	if c.len() > 0 {
		return false
	}
	if c.Conn == c.wire {
		return true
	}
	c.wire.dry = true
	n, err := c.Conn.Read(c.mem[:1])
	c.wire.dry = false
	return n == 0 && errors.Is(err, os.ErrDeadlineExceeded)
}

// abort ends the exchange x on the connection, for the given reason if not nil, unless it has ended there. Whoever reads or
// writes gets an error. Any goroutine may call it.
func (c *conn) abort(x *Exchange, reason error) {
	if !c.owner.CompareAndSwap(x, nil) {
		return
	}
	c.endsNot(x)
	if reason != nil {
		x.blame(reason)
	}
	c.shut(c.wire.Conn)
}

// done notes that a part of the exchange x ended well. The last one gives the connection back.
func (c *conn) done(x *Exchange) {
	if c.parts.Add(-1) > 0 || !c.owner.CompareAndSwap(x, nil) {
		return
	}
	defer c.endsNot(x) // whoever waits for that has the connection then
	if x.framing.close || c.host.client.options.DisableKeepAlives {
		c.close()
		return
	}
	c.reused = true
	c.host.put(c)
}

// headerCame is what headerBy is once there is a header: an upload that ends later does not wait for one.
const headerCame = -1

// awaitHeader begins the time for the answer's header, anew if it has begun.
func (c *conn) awaitHeader() {
	limit := c.host.client.options.HeaderTimeout
	if limit <= 0 {
		return
	}
	for {
		by := c.headerBy.Load()
		if by == headerCame || c.headerBy.CompareAndSwap(by, int64(now()+limit)) {
			return
		}
	}
}

// suspendHeader ends that time until it begins anew.
func (c *conn) suspendHeader() {
	if by := c.headerBy.Load(); by > 0 {
		c.headerBy.CompareAndSwap(by, 0)
	}
}

// overdue reports whether the exchange x on the connection has to end.
func (c *conn) overdue(x *Exchange, at time.Duration) bool {
	if by := c.headerBy.Load(); by > 0 && int64(at) >= by {
		return true
	}
	cancelled := x.context().Err() != nil // before endBy, which is set before the context of a request that was served ends
	if by := x.endBy.Load(); by > 0 {
		return int64(at) >= by
	}
	return cancelled
}

// interrupt ends an exchange that is overdue.
func (c *conn) interrupt(x *Exchange) {
	err := x.context().Err()
	if err == nil {
		err = errHeaderTimeout
	}
	c.abort(x, err)
}

// close closes a connection that nobody uses.
func (c *conn) close() { c.shut(c.Conn) }

// shut closes the connection by nc, and gives up its place among those of the host.
func (c *conn) shut(nc net.Conn) {
	if c.end(nc) {
		c.host.left()
	}
}

// end closes the connection by nc, once.
func (c *conn) end(nc net.Conn) bool {
	if c.closed.Swap(true) {
		return false
	}
	_ = nc.Close()
	c.host.client.open.Add(-1)
	c.host.client.watcher.remove(c)
	return true
}
