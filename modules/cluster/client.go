package cluster

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/caddylb/caddy-lb/lb"
)

const (
	// Redis is looked at this often while it answers, and after these pauses while it does not.
	probeEvery = time.Second
	minBackoff = 50 * time.Millisecond
	maxBackoff = time.Second

	// steady is how long a connection has to last for the pauses to begin anew.
	steady = 5 * time.Second
)

// probeLimit is what a probe counts: a script that writes, so that a Redis that takes no writes is not taken for a healthy one.
var probeLimit = lb.Limit{Events: 1000, Window: time.Second, Burst: 1000}

// client is what all configurations with equal options share: the connection, whether Redis is there, and the orders. It is a circuit
// breaker as well: while Redis is away calls fail at once, and one goroutine tries whether it is back.
//
// All methods are safe for concurrent use.
type client struct {
	target *target
	orders *orders

	// open is the session that requests use; nil while Redis is away, for the reason in away.
	open atomic.Pointer[session]
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

// connected returns the session, or why there is none. It costs next to nothing.
func (c *client) connected() (*session, error) {
	if s := c.open.Load(); s != nil {
		return s, nil
	}
	c.failures.count(causeAway)
	return nil, c.away.Load()
}

// do runs a script and returns the answer, within the timeout, or an error at once while Redis is away.
func (c *client) do(ctx context.Context, what *script, key string, args ...any) (any, error) {
	s, err := c.connected()
	if err != nil {
		return nil, err
	}
	return c.doIn(ctx, s, evaluate(what, key, args...))
}

// doIn sends a call in a session.
func (c *client) doIn(ctx context.Context, s *session, command *call) (any, error) {
	c.commands.Add(1)
	var reply any
	err := s.link.enqueue(command)
	if err == nil {
		reply, err = command.wait(ctx, c.target.timeout, s.link.lost)
	} else {
		command.recycle()
	}
	if err == nil {
		s.hit()
		return reply, nil
	}
	cause := causeOf(ctx, err)
	c.failures.count(cause)
	if cause == causeTimeout || cause == causeRefused {
		s.miss(err)
	}
	return nil, fmt.Errorf("asking Redis %s: %w", c.target.name, err)
}

// run connects, watches the connection until it fails, and begins again.
func (c *client) run(ctx context.Context) {
	for backoff := minBackoff; ; {
		began := time.Now()
		s, err := c.connect(ctx)
		if err == nil {
			c.use(ctx, s)
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

// connect opens a connection and has Redis answer a probe.
func (c *client) connect(ctx context.Context) (*session, error) {
	conn, err := c.target.dial(ctx)
	if err != nil {
		return nil, err
	}
	s := &session{failed: make(chan error, 1)}
	s.link = newLink(conn, s.fail)
	// A first answer may be late for what it takes to get going.
	for range maxMisses {
		if err = c.probe(ctx, s); !errors.Is(err, errTimeout) {
			break
		}
	}
	if err != nil {
		s.close(errStopped)
		return nil, err
	}
	return s, nil
}

// probe counts something as a request would.
func (c *client) probe(ctx context.Context, s *session) error {
	reply, err := c.doIn(ctx, s, c.limitCall("probe", probeLimit))
	if err == nil {
		_, err = parseTaken(reply, probeLimit)
	}
	return err
}

// use lets requests have a session until it fails.
func (c *client) use(ctx context.Context, s *session) {
	c.isThere(s)
	ticker := time.NewTicker(probeEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			// What comes of it counts as with any call.
			_ = c.probe(ctx, s)
			continue
		case err := <-s.failed:
			c.isAway(err)
			s.close(err)
			return
		case <-ctx.Done():
			c.open.Store(nil)
			s.close(errStopped)
			return
		}
	}
}

func (c *client) isThere(s *session) {
	c.open.Store(s)
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
