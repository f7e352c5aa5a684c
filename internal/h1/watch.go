package h1

import (
	"sync"
	"sync/atomic"
	"time"
)

// The watcher's times.
const (
	watchEvery = 20 * time.Millisecond // while exchanges are under way
	sweepEvery = time.Second           // for idle connections
	lookEvery  = 5                     // sweeps until idle connections are looked at
)

var epoch = time.Now()

// now is a monotonic time.
func now() time.Duration { return time.Since(epoch) }

// watcher looks after the connections of a client on one goroutine, which is there while there are connections. It ends exchanges whose
// request was cancelled or whose header is late, sends heads that wait for slow bodies, and closes connections that have been idle for too long. A timer or a callback
// for each request would cost more than a microsecond of each; looking at all of them now and then costs none of
// them anything.
type watcher struct {
	client *Client

	mu      sync.Mutex
	conns   map[*conn]struct{}
	running bool

	// resting is set while no exchange was under way at the last look; the next one ends the rest.
	resting atomic.Bool
	rouse   chan struct{}
}

// add watches over a connection.
func (w *watcher) add(c *conn) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.conns == nil {
		w.conns, w.rouse = make(map[*conn]struct{}), make(chan struct{}, 1)
	}
	w.conns[c] = struct{}{}
	if !w.running {
		w.running = true
		go w.run()
	}
}

func (w *watcher) remove(c *conn) {
	w.mu.Lock()
	delete(w.conns, c)
	last := len(w.conns) == 0
	w.mu.Unlock()
	if last {
		w.wake()
	}
}

// wake ends a rest.
func (w *watcher) wake() {
	if w.resting.Load() && w.resting.CompareAndSwap(true, false) {
		select {
		case w.rouse <- struct{}{}:
		default:
		}
	}
}

func (w *watcher) run() {
	timer := time.NewTimer(watchEvery)
	defer timer.Stop()
	var swept time.Duration
	for sweeps := 0; ; {
		busy, any := w.watch(now())
		if !any && w.stop() {
			return
		}
		if at := now(); at-swept >= sweepEvery {
			swept = at
			sweeps++
			w.sweep(at, sweeps%lookEvery == 0)
		}
		pause := watchEvery
		if !busy {
			// An exchange that begins now, or did since the look, ends the rest.
			w.resting.Store(true)
			if busy, any = w.watch(now()); busy || !any {
				w.resting.Store(false)
			} else {
				pause = sweepEvery
			}
		}
		timer.Reset(pause)
		select {
		case <-timer.C:
		case <-w.rouse:
			// One look a while is enough, however many rests end.
			timer.Reset(watchEvery)
			<-timer.C
		}
		w.resting.Store(false)
	}
}

// stop ends the watch, unless there is a connection again.
func (w *watcher) stop() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.conns) > 0 {
		return false
	}
	w.running = false
	w.resting.Store(false)
	return true
}

// watch ends the exchanges that are to end. It reports whether there are any, and any connections.
func (w *watcher) watch(at time.Duration) (busy, any bool) {
	w.mu.Lock()
	type pair struct {
		c *conn
		x *Exchange
	}
	var late []pair
	var heads []*upload
	for c := range w.conns {
		x := c.owner.Load()
		if x == nil {
			continue
		}
		busy = true
		if c.overdue(x, at) {
			late = append(late, pair{c, x})
		}
		if u := c.upload.Load(); u != nil && u.late(at) {
			heads = append(heads, u)
		}
	}
	any = len(w.conns) > 0
	w.mu.Unlock()
	for _, p := range late {
		p.c.interrupt(p.x)
	}
	for _, u := range heads {
		go u.sendHead()
	}
	return busy, any
}

// sweep closes idle connections that are too old or too many, and if look is set those that their server closed.
func (w *watcher) sweep(at time.Duration, look bool) {
	hosts := w.client.all()
	idle := 0
	for _, h := range hosts {
		for _, c := range h.expired(at) {
			c.close()
		}
		if look {
			for _, c := range h.ended(at) {
				c.close()
			}
		}
		idle += h.idleCount()
	}
	limit := w.client.options.MaxIdle
	for _, h := range hosts {
		for limit > 0 && idle > limit {
			c := h.oldest()
			if c == nil {
				break
			}
			c.close()
			idle--
		}
	}
	w.client.forgetTransient()
}
