package h1

import (
	"context"
	"slices"
	"time"
)

// endingTime is how long a request waits for a connection that is about to be given back.
const endingTime = 10 * time.Millisecond

// answered notes that the answer of the exchange x was read to its end. A server that has answered
// has the request's body as well, but the goroutine that wrote the last of it may not have run
// since, and the client's next request may come before it does. That one is to find the connection.
func (c *conn) answered(x *Exchange) {
	if u := x.upload; u != nil && !x.framing.close && u.complete.Load() && c.parts.Load() > 1 {
		x.ends.Store(true)
		c.host.ending.Add(1)
		defer func() {
			if c.owner.Load() != x {
				c.endsNot(x) // it was aborted just then
			}
		}()
	}
	c.done(x)
}

// endsNot notes that the exchange x has ended, or will not so soon.
func (c *conn) endsNot(x *Exchange) {
	if x.ends.Load() && x.ends.Swap(false) {
		c.host.ending.Add(-1)
	}
}

// awaitEnding waits for a moment for a connection that is about to be given back. It returns none
// when that takes longer, and says whether one may be made that counts already.
func (h *Host) awaitEnding(ctx context.Context) (c *conn, may bool) {
	h.mu.Lock()
	if c = h.lastIdle(); c != nil || len(h.waiting) >= int(h.ending.Load()) {
		h.mu.Unlock()
		return c, false
	}
	w := &waiter{turn: make(chan *conn, 1)}
	h.waiting = append(h.waiting, w)
	h.mu.Unlock()
	timer := time.NewTimer(endingTime)
	defer timer.Stop()
	select {
	case c = <-w.turn:
		return c, c == nil
	case <-timer.C:
	case <-ctx.Done():
	}
	if h.leaveLine(w) {
		return nil, false
	}
	c = <-w.turn
	return c, c == nil
}

// leaveLine ends a wait, and reports false when it is w's turn just now.
func (h *Host) leaveLine(w *waiter) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	i := slices.Index(h.waiting, w)
	if i >= 0 {
		h.waiting = slices.Delete(h.waiting, i, i+1)
	}
	return i >= 0
}
