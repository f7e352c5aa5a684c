package healthcheck

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"slices"
	"time"

	"go.uber.org/zap"
)

// grace is how long a check may take, once its time is up, to say what it was waiting for. It only makes the
// reason better: the check has failed either way.
const grace = 10 * time.Millisecond

// zapCheck is the log field that names the kind of check.
func zapCheck(kind string) zap.Field { return zap.String("check", kind) }

// run checks until ctx ends.
func (m *Monitor) run(ctx context.Context, done chan<- struct{}) {
	defer close(done)
	for m.wait(ctx) {
		m.turn(ctx)
	}
}

// turn makes one check and sees to its consequences.
func (m *Monitor) turn(ctx context.Context) {
	gate := m.gate()
	if gate != nil {
		if gate.enter(ctx) != nil {
			return
		}
		defer gate.leave()
	}
	// Only now is it settled who checks: another configuration may have taken over at the gate.
	s := m.newest()
	if s == nil {
		<-ctx.Done() // the last one has left, and is about to stop this goroutine
		return
	}
	started := time.Now()
	t := m.target
	address, err := resolve(t.Address)
	if err != nil {
		m.skip(s, started, err)
		return
	}
	t.Address = address

	ended, err := m.probe(ctx, s.Config, t)
	if !ended {
		return
	}
	o := &outcome{started: started, duration: time.Since(started), err: err}
	m.record(o, m.threshold(s.Config, t, err == nil))
	m.plan(started, rand.Float64())
	m.log(s.Config.logger, o)
	switch {
	case o.flipped:
		m.announce(s.Config, t, o)
	case o.confirmed:
		m.each(func(s *Subscription) {
			if s.OnConfirm != nil {
				s.OnConfirm()
			}
		})
	}
	if o.err == nil {
		m.each(func(s *Subscription) {
			if s.OnPass != nil {
				s.OnPass(o.started)
			}
		})
	}
}

// each calls f with each subscription, the oldest first.
func (m *Monitor) each(f func(*Subscription)) {
	m.calling.Lock()
	defer m.calling.Unlock()
	m.mu.Lock()
	stack := slices.Clone(m.stack)
	m.mu.Unlock()
	for _, s := range stack {
		f(s)
	}
}

// gate is the newest subscription's gate, nil if it has none.
func (m *Monitor) gate() *Gate {
	if s := m.newest(); s != nil {
		return s.Gate
	}
	return nil
}

// probe runs the checker for at most the timeout. ended is false when ctx ended first, and there is no result.
func (m *Monitor) probe(ctx context.Context, c *Config, t Target) (ended bool, err error) {
	timedOut := fmt.Errorf("no result within %s", m.timeout)
	checkCtx, cancel := context.WithTimeoutCause(ctx, m.timeout, timedOut)
	defer cancel()

	result, returned := make(chan error, 1), make(chan struct{})
	go func() {
		defer close(returned)
		result <- m.protect(c.logger, "the check", func() error { return c.checker.Check(checkCtx, t) })
	}()

	select {
	case err = <-result:
	case <-checkCtx.Done():
		if ctx.Err() != nil {
			m.setLate(returned)
			return false, nil
		}
		select {
		case err = <-result:
		case <-time.After(grace):
			m.setLate(returned)
		}
		if err == nil {
			return true, timedOut // nothing to add, or a pass that came too late
		}
	}
	switch {
	case ctx.Err() != nil:
		return false, nil
	case err != nil && checkCtx.Err() != nil:
		return true, fmt.Errorf("%w: %w", timedOut, err)
	}
	return true, err
}

// setLate notes a check that is still running, so that no other starts before it has returned.
func (m *Monitor) setLate(returned <-chan struct{}) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.late = returned
}

// skip notes that the backend could not be checked at all, because its address holds a placeholder that only a
// request can fill in. That says nothing about the backend, and counts neither way.
func (m *Monitor) skip(s *Subscription, started time.Time, err error) {
	m.mu.Lock()
	told := m.state.lastError != nil
	m.state.lastCheck, m.state.lastError = started, err
	m.closeFirst()
	m.mu.Unlock()
	m.plan(started, rand.Float64())
	if !told {
		s.Config.logger.Warn("backend cannot be checked",
			zap.String("backend", m.target.Backend.String()), zap.Error(err))
	}
}

// threshold asks the checker how many such results in a row it wants; 0 leaves it to the configuration.
func (m *Monitor) threshold(c *Config, t Target, pass bool) (n int) {
	h, ok := c.checker.(Thresholder)
	if !ok {
		return 0
	}
	_ = m.protect(c.logger, "the check's threshold", func() error {
		n = h.HealthThreshold(t, pass)
		return nil
	})
	return n
}

// log writes a failure, or a pass that brings the backend back, at Debug. Changes of a backend's
// state are told by the pools, which know of its other checks and of how many backends are left.
func (m *Monitor) log(logger *zap.Logger, o *outcome) {
	backend := zap.String("backend", m.target.Backend.String())
	switch {
	case o.err != nil && o.flipped:
		logger.Debug("health check failed", backend, zap.String("reason", o.err.Error()), zap.Int("after", o.streak))
	case o.err != nil:
		logger.Debug("health check failed", backend, zap.String("reason", o.err.Error()))
	case o.flipped:
		logger.Debug("health check passes again", backend, zap.Int("after", o.streak))
	}
}

// announce tells the checker and the subscribers of a change of state.
func (m *Monitor) announce(c *Config, t Target, o *outcome) {
	if h, ok := c.checker.(StateObserver); ok {
		_ = m.protect(c.logger, "the check's state observer", func() error {
			h.HealthChanged(t, o.err == nil, o.err)
			return nil
		})
	}
	m.calling.Lock()
	defer m.calling.Unlock()
	m.mu.Lock()
	stack := slices.Clone(m.stack)
	m.mu.Unlock()

	change := Change{Healthy: o.err == nil, Reason: o.err, At: o.started.Add(o.duration)}
	for i, s := range stack {
		if s.OnChange == nil {
			continue
		}
		change.Latest = !slices.ContainsFunc(stack[i+1:], func(o *Subscription) bool { return o.Group == s.Group })
		s.OnChange(change)
	}
}

// protect calls f and turns a panic, logged with its stack, into an error: a module must not take the server
// down.
func (m *Monitor) protect(logger *zap.Logger, what string, f func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("%s panicked: %v", what, v)
			logger.Error("health check module panicked",
				zap.String("backend", m.target.Backend.String()),
				zap.Error(err),
				zap.ByteString("stack", debug.Stack()))
		}
	}()
	return f()
}
