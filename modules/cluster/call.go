package cluster

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

// call is one command on its way to Redis and back.
type call struct {
	command string
	args    []any
	script  *script // nil for a plain command

	// gone is set by who waited in vain, so that what was not sent yet need not be. Such a call is not used again.
	gone atomic.Bool

	reply any
	err   error
	done  chan struct{} // gets one value when reply and err are there
	timer *time.Timer
}

var calls = sync.Pool{New: func() any {
	timer := time.NewTimer(time.Hour)
	timer.Stop()
	return &call{done: make(chan struct{}, 1), timer: timer, args: make([]any, 0, 8)}
}}

// evaluate makes a call of a script on one key.
func evaluate(s *script, key string, args ...any) *call {
	c := calls.Get().(*call)
	c.command, c.script = "EVALSHA", s
	c.args = append(append(c.args[:0], s.hash, 1, key), args...)
	return c
}

// inFull sends the script itself instead of its hash, which Redis does not know.
func (c *call) inFull() {
	c.command, c.args[0] = "EVAL", c.script.source
}

func (c *call) finish(reply any, err error) {
	c.reply, c.err = reply, err
	c.done <- struct{}{}
}

// recycle is for who got the answer.
func (c *call) recycle() {
	clear(c.args)
	c.reply, c.err, c.script = nil, nil, nil
	calls.Put(c)
}

var errTimeout = errors.New("no answer in time")

// wait returns the answer and gives the call back. lost is closed when the connection is.
func (c *call) wait(ctx context.Context, timeout time.Duration, lost <-chan struct{}) (any, error) {
	c.timer.Reset(timeout)
	defer c.timer.Stop()
	select {
	case <-c.done:
		reply, err := c.reply, c.err
		c.recycle()
		return reply, err
	case <-c.timer.C:
		c.gone.Store(true)
		return nil, errTimeout
	case <-lost:
		c.gone.Store(true)
		return nil, errLost
	case <-ctx.Done():
		c.gone.Store(true)
		return nil, context.Cause(ctx)
	}
}
