package h1server

import (
	"sync"
	"time"
)

// watchAfter is how long a request is under way before anybody looks whether its client has left. Most are over by then, and cost nothing.
const watchAfter = 50 * time.Millisecond

// watch looks out for the end of the client's connection while a request is served, which cancels the request's context. The only way
// to learn of it is to read. What is guarded by conn.mu is the whole of it.
type watch struct {
	x       *exchange   // under way; nil for none
	timer   *time.Timer // runs while there have been requests a moment ago
	armed   bool
	seen    *exchange // under way when the timer last went off
	reading bool      // a goroutine waits for what the client sends
	stopped bool      // that one is to end
	ended   sync.Cond // it has
}

// begin notes that x is under way.
func (c *conn) begin(x *exchange) {
	c.mu.Lock()
	defer c.mu.Unlock()
	w := &c.watch
	w.x = x
	if w.armed {
		return
	}
	w.armed, w.seen = true, x
	if w.timer == nil {
		w.timer = time.AfterFunc(watchAfter, c.look)
	} else {
		w.timer.Reset(watchAfter)
	}
}

// finish notes that nothing is under way, and ends the watch.
func (c *conn) finish() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stopWatch()
	w := &c.watch
	if w.x != nil {
		w.x.cancel()
		w.x, w.seen = nil, nil
	}
}

// stopWatch ends what reads ahead. The caller holds c.mu.
func (c *conn) stopWatch() {
	w := &c.watch
	if !w.reading {
		return
	}
	w.stopped = true
	_ = c.nc.SetReadDeadline(time.Unix(1, 0))
	for w.reading {
		w.ended.Wait()
	}
	w.stopped = false
	c.disarm()
}

// current is the request under way.
func (c *conn) current() *exchange {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.watch.x
}

// clientLeft cancels the request under way.
func (c *conn) clientLeft() {
	if x := c.current(); x != nil {
		x.cancel()
	}
}

// look is what the timer does.
func (c *conn) look() {
	c.mu.Lock()
	defer c.mu.Unlock()
	w := &c.watch
	switch {
	case w.x == nil, w.x.isHijacked.Load(), w.reading:
		w.armed = false
		return
	case w.x == w.seen && w.x.body.isRead():
		w.armed, w.reading = false, true
		go c.readAhead()
		return
	}
	w.seen = w.x
	w.timer.Reset(watchAfter)
}

// readAhead waits until the client sends something, which is the start of its next request, or leaves.
func (c *conn) readAhead() {
	var octet [1]byte
	n := 0
	_ = c.nc.SetReadDeadline(time.Time{}) // it was that of an earlier wait
	c.mu.Lock()
	if c.watch.stopped {
		_ = c.nc.SetReadDeadline(time.Unix(1, 0))
	}
	c.mu.Unlock()
	var err error
	if len(c.ahead) == 0 {
		n, err = c.nc.Read(octet[:])
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if n > 0 {
		c.ahead = append([]byte(nil), octet[:n]...)
	}
	if err != nil && !c.watch.stopped && c.watch.x != nil {
		c.watch.x.cancel()
	}
	c.watch.reading = false
	c.watch.ended.Broadcast()
}
