package h1

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Host is the connections to one server: those that are idle, the latest used first, and how many there are.
type Host struct {
	client *Client
	key    string

	mu      sync.Mutex // held for moments only, never while reading or writing
	idle    []*conn    // the last one was used last
	open    int        // connections there are or are being made
	waiting []*waiter  // for a connection, when their number is bounded
	retired bool       // no connection is kept any more

	ending atomic.Int32 // exchanges whose connection is about to be given back

	lifetime lifetime
}

// waiter is an exchange that waits for its turn under MaxConnsPerHost. It is handed an idle connection, or nil
// and the right to make one.
type waiter struct{ turn chan *conn }

// idleTake takes the idle connection that was used last; nil when there is none.
func (h *Host) idleTake() *conn {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.lastIdle()
}

// lastIdle is idleTake for a caller who holds h.mu.
func (h *Host) lastIdle() *conn {
	n := len(h.idle)
	if n == 0 {
		return nil
	}
	c := h.idle[n-1]
	h.idle[n-1] = nil
	h.idle = h.idle[:n-1]
	return c
}

// take returns a connection for x: an idle one that is alive, unless fresh is asked for, else a new one.
func (h *Host) take(x *Exchange, fresh bool) (*conn, error) {
	for !fresh {
		c := h.idleTake()
		if c == nil && h.ending.Load() > 0 {
			var may bool
			if c, may = h.awaitEnding(x.context()); may {
				return h.dial(x)
			}
		}
		if c == nil {
			break
		}
		switch alive, suits := h.inspect(c, x); {
		case !alive:
			c.close()
		case !suits:
			h.keep(c)
			h.lookAtOldest()
			fresh = true
		default:
			return c, nil
		}
	}
	if h.client.options.MaxConnsPerHost > 0 {
		c, err := h.awaitTurn(x.context())
		if err != nil {
			return nil, err
		}
		if c != nil {
			if alive, suits := h.inspect(c, x); alive && suits && !fresh {
				return c, nil
			}
			c.end(c.Conn) // the new one takes its place
		}
	} else {
		h.mu.Lock()
		h.open++
		h.mu.Unlock()
	}
	return h.dial(x)
}

// inspect looks at an idle connection before its use: whether it is alive, and young enough for a request that must not be sent
// twice.
func (h *Host) inspect(c *conn, x *Exchange) (alive, suits bool) {
	at := now()
	c.idleFor = at - c.idleSince
	if !c.alive() {
		h.lifetime.ended(c.idleFor, at)
		return false, false
	}
	h.lifetime.survived(c.idleFor)
	return true, IsIdempotent(x.Request.Method) || h.lifetime.covers(c.idleFor, at)
}

// lookAtOldest looks whether the server has kept the connection that has been idle for longest, while that is not known of any.
func (h *Host) lookAtOldest() {
	if h.lifetime.keeps.Load() {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.idle) > 0 {
		if c := h.idle[0]; c.alive() {
			h.lifetime.survived(now() - c.idleSince)
		}
	}
}

// awaitTurn returns nil when a connection may be made, which counts already, or one that is idle.
func (h *Host) awaitTurn(ctx context.Context) (*conn, error) {
	c, w := h.claim()
	if w == nil {
		return c, nil
	}
	select {
	case c := <-w.turn:
		return c, nil
	case <-ctx.Done():
	}
	if !h.leaveLine(w) { // it was this one's turn just now
		if c := <-w.turn; c != nil {
			h.put(c)
		} else {
			h.left()
		}
	}
	return nil, ctx.Err()
}

// claim is awaitTurn without the wait: the waiter is not nil when there has to be one. Looking and lining up are one step,
// so that no connection is given back in between and left lying.
func (h *Host) claim() (*conn, *waiter) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if c := h.lastIdle(); c != nil {
		return c, nil
	}
	if h.open < h.client.options.MaxConnsPerHost {
		h.open++
		return nil, nil
	}
	w := &waiter{turn: make(chan *conn, 1)}
	h.waiting = append(h.waiting, w)
	return nil, w
}

// dial makes a connection, which counts already.
func (h *Host) dial(x *Exchange) (*conn, error) {
	if !h.client.admit() {
		h.left()
		return nil, ErrTooManyConns
	}
	c, err := connect(x.context(), h)
	if err != nil {
		h.client.open.Add(-1)
		h.left()
		return nil, err
	}
	h.client.watcher.add(c)
	return c, nil
}

// put gives a connection back that can serve another exchange: to one that waits, else it is kept.
func (h *Host) put(c *conn) {
	c.idleSince = now()
	h.mu.Lock()
	if w := h.nextWaiter(); w != nil {
		h.mu.Unlock()
		w.turn <- c
		return
	}
	o := &h.client.options
	if h.retired || h.client.closed.Load() || !o.lenient && len(h.idle) >= o.MaxIdlePerHost || h.client.crowded() {
		h.mu.Unlock()
		c.close()
		return
	}
	h.idle = append(h.idle, c)
	h.mu.Unlock()
}

// left takes note that a connection is gone, or was not made.
func (h *Host) left() {
	h.mu.Lock()
	if w := h.nextWaiter(); w != nil {
		h.mu.Unlock()
		w.turn <- nil
		return
	}
	h.open--
	h.mu.Unlock()
}

// nextWaiter takes the first one of those who wait. The caller holds h.mu.
func (h *Host) nextWaiter() *waiter {
	if len(h.waiting) == 0 {
		return nil
	}
	w := h.waiting[0]
	h.waiting = slices.Delete(h.waiting, 0, 1)
	return w
}

// retire closes what is idle and has the rest closed when it is given back.
func (h *Host) retire() {
	h.mu.Lock()
	idle := h.idle
	h.idle, h.retired = nil, true
	h.mu.Unlock()
	for _, c := range idle {
		c.close()
	}
}

// expired takes out the idle connections that have been so for too long, and the oldest of those that are too many. Those that became idle within the last
// excessAge are no excess yet.
func (h *Host) expired(at time.Duration) []*conn {
	const excessAge = time.Second
	o := &h.client.options
	h.mu.Lock()
	defer h.mu.Unlock()
	n := 0
	for n < len(h.idle) {
		age := at - h.idle[n].idleSince
		tooOld := o.IdleTimeout > 0 && age >= o.IdleTimeout
		tooMany := len(h.idle)-n > o.MaxIdlePerHost && age >= excessAge
		if !tooOld && !tooMany {
			break
		}
		n++
	}
	if n == 0 {
		return nil
	}
	gone := slices.Clone(h.idle[:n])
	h.idle = slices.Delete(h.idle, 0, n)
	return gone
}

// ended takes out the idle connections that the server has closed.
func (h *Host) ended(at time.Duration) []*conn {
	h.mu.Lock()
	defer h.mu.Unlock()
	var gone []*conn
	h.idle = slices.DeleteFunc(h.idle, func(c *conn) bool {
		if c.alive() {
			h.lifetime.survived(at - c.idleSince)
			return false
		}
		gone = append(gone, c)
		return true
	})
	return gone
}

// retireUnused retires a host without connections, and reports whether it was one. Whoever still has it and makes a
// connection does not leave it there, where nobody would find it.
func (h *Host) retireUnused() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.retired = h.retired || h.client.closed.Load() || h.open == 0
	return h.open == 0
}

func (h *Host) idleCount() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.idle)
}

// keep puts an idle connection back that was not used.
func (h *Host) keep(c *conn) {
	h.mu.Lock()
	retired := h.retired
	if !retired {
		h.idle = append(h.idle, c)
	}
	h.mu.Unlock()
	if retired {
		c.close()
	}
}

// oldest takes out the connection that has been idle for longest; nil when there is none.
func (h *Host) oldest() *conn {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.idle) == 0 {
		return nil
	}
	c := h.idle[0]
	h.idle = slices.Delete(h.idle, 0, 1)
	return c
}
