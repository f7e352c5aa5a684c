package cluster

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/gomodule/redigo/redis"
	"go.uber.org/zap"

	"github.com/caddylb/caddy-lb/lb"
)

const (
	// linkCount is how many connections requests share. One goes as far as several while Redis is what limits; a second one keeps the
	// others' answers coming while a large one is read.
	linkCount = 2

	// maxMisses is how many calls in a row may fail until Redis is given up.
	maxMisses = 3

	// Redis is looked at this often while it answers, and after these pauses while it does not.
	probeEvery = time.Second
	minBackoff = 50 * time.Millisecond
	maxBackoff = time.Second

	// steady is how long a connection has to last for the pauses to begin anew.
	steady = 5 * time.Second
)

// probeLimit is what a probe counts: a script that writes, so that a Redis that takes no writes is not taken for a healthy one.
var probeLimit = lb.Limit{Events: 1000, Window: time.Second, Burst: 1000}

// client is what all configurations with equal options share: the connections, whether Redis is there, and the orders. It is a circuit
// breaker as well: while Redis is away calls fail at once, and one goroutine tries whether it is back.
//
// All methods are safe for concurrent use.
type client struct {
	target *target
	orders *orders

	// open is the connections in use; nil while Redis is away, for the reason in away.
	open atomic.Pointer[linkSet]
	away atomic.Pointer[awayError]

	commands atomic.Uint64
	failures failures

	first  chan struct{} // closed after the first attempt to connect
	cancel context.CancelFunc
	ended  sync.WaitGroup
}

// awayError is what calls get while Redis is away.
type awayError struct {
	name   string
	reason error
}

func (e *awayError) Error() string { return fmt.Sprintf("Redis %s is away: %v", e.name, e.reason) }

func (e *awayError) Unwrap() error { return e.reason }

// newClient starts to connect.
func newClient(t *target) *client {
	ctx, cancel := context.WithCancel(context.Background())
	c := &client{target: t, first: make(chan struct{}), cancel: cancel}
	c.orders = newOrders(c)
	c.away.Store(&awayError{t.name, errLost})
	c.ended.Go(func() { c.run(ctx) })
	c.ended.Go(func() { c.orders.run(ctx) })
	return c
}

// Destruct implements caddy.Destructor.
func (c *client) Destruct() error {
	c.cancel()
	c.ended.Wait()
	return nil
}

// firstAnswer waits until it is known whether Redis is there, and returns why not.
func (c *client) firstAnswer(ctx context.Context) error {
	select {
	case <-c.first:
	case <-ctx.Done():
		return ctx.Err()
	}
	if c.open.Load() != nil {
		return nil
	}
	return c.away.Load()
}

// connected returns the connections, or why there are none. It costs next to nothing.
func (c *client) connected() (*linkSet, error) {
	if set := c.open.Load(); set != nil {
		return set, nil
	}
	c.failures.count(causeAway)
	return nil, c.away.Load()
}

// do runs a script and returns the answer, within the timeout, or an error at once while Redis is away.
func (c *client) do(ctx context.Context, s *script, key string, args ...any) (any, error) {
	set, err := c.connected()
	if err != nil {
		return nil, err
	}
	return c.doOn(ctx, set, set.next(), evaluate(s, key, args...))
}

// doOn sends a call over one connection of a set.
func (c *client) doOn(ctx context.Context, set *linkSet, l *link, command *call) (any, error) {
	c.commands.Add(1)
	var reply any
	err := l.enqueue(command)
	if err == nil {
		reply, err = command.wait(ctx, c.target.timeout, l.lost)
	} else {
		command.recycle()
	}
	if err == nil {
		set.hit()
		return reply, nil
	}
	cause := causeOf(ctx, err)
	c.failures.count(cause)
	if cause == causeTimeout || cause == causeRefused {
		set.miss(err)
	}
	return nil, fmt.Errorf("Redis %s: %w", c.target.name, err)
}

// run connects, watches the connections until they fail, and begins again.
func (c *client) run(ctx context.Context) {
	for backoff := minBackoff; ; {
		began := time.Now()
		set, err := c.connect(ctx)
		if err == nil {
			err = c.use(ctx, set)
		} else if ctx.Err() == nil {
			c.isAway(err)
		}
		if time.Since(began) > steady {
			backoff = minBackoff
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(jitter(backoff)):
		}
		backoff = min(2*backoff, maxBackoff)
	}
}

// connect opens the connections and has Redis answer a probe on each.
func (c *client) connect(ctx context.Context) (*linkSet, error) {
	set := &linkSet{failed: make(chan error, 1)}
	for range linkCount {
		var conn redis.Conn
		conn, err := c.target.dial(ctx)
		if err == nil {
			l := newLink(conn, set.fail)
			set.links = append(set.links, l)
			err = c.probe(ctx, set, l)
		}
		if err != nil {
			set.close(errStopped)
			return nil, err
		}
	}
	return set, nil
}

// probe counts something as a request would.
func (c *client) probe(ctx context.Context, set *linkSet, l *link) error {
	reply, err := c.doOn(ctx, set, l, c.limitCall("probe", probeLimit))
	if err == nil {
		_, err = parseTaken(reply, probeLimit)
	}
	return err
}

// use lets requests have the connections until they fail. It returns why they did.
func (c *client) use(ctx context.Context, set *linkSet) error {
	c.isThere(set)
	ticker := time.NewTicker(probeEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			// What comes of it counts as with any call.
			_ = c.probe(ctx, set, set.next())
			continue
		case err := <-set.failed:
			c.isAway(err)
			set.close(err)
			return err
		case <-ctx.Done():
			c.open.Store(nil)
			set.close(errStopped)
			return ctx.Err()
		}
	}
}

func (c *client) isThere(set *linkSet) {
	c.open.Store(set)
	if c.answered() {
		c.log().Info("Redis is back: limits and orders are shared again")
	} else {
		c.log().Info("sharing limits and orders")
	}
	c.orders.wakeUp()
}

// isAway is called for each failed attempt, and logs the first.
func (c *client) isAway(reason error) {
	open := c.open.Swap(nil)
	c.away.Store(&awayError{c.target.name, reason})
	if again := c.answered(); open == nil && again {
		return
	}
	c.log().Warn("Redis is away: every instance applies limits and orders by itself until it is back", zap.Error(reason))
	c.orders.wakeUp()
}

// answered reports whether an attempt has ended before, and that one has now.
func (c *client) answered() bool {
	select {
	case <-c.first:
		return true
	default:
		close(c.first)
		return false
	}
}

// log is asked for at each use, since the client outlives configurations and their loggers.
func (c *client) log() *zap.Logger {
	return caddy.Log().Named("lb_cluster").With(zap.String("redis", c.target.name))
}
