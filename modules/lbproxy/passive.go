package lbproxy

import (
	"encoding/json"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddylb/caddy-lb/lb"
)

// passives holds what passive checks know about backends, so that a reload finds it again.
var passives = caddy.NewUsagePool()

// passiveKey is what the knowledge belongs to: a backend, and what counts as a failure of it.
type passiveKey struct{ backend, config string }

// passive remembers the failures of one backend for a while and takes it out of service while there are too
// many. It is safe for concurrent use.
type passive struct {
	key    passiveKey
	config PassiveHealthChecks

	mu       sync.Mutex
	failures []time.Time // when each failure is forgotten, in order
	timer    *time.Timer // forgets the first of them; nil while there are none
	watchers map[*func()]struct{}
}

// acquirePassive takes a reference to what is known about a backend under cfg, whose FailDuration is above 0.
// Each call is followed by one release.
func acquirePassive(cfg *PassiveHealthChecks, backendID string) *passive {
	config := *cfg
	if config.MaxFails <= 0 {
		config.MaxFails = 1
	}
	text, _ := json.Marshal(config) // numbers only; it cannot fail
	key := passiveKey{backend: backendID, config: string(text)}
	v, _ := passives.LoadOrStore(key, &passive{key: key, config: config, watchers: make(map[*func()]struct{})})
	return v.(*passive)
}

// release gives the reference back.
func (p *passive) release() { _, _ = passives.Delete(p.key) }

// Destruct implements caddy.Destructor: the last reference is gone.
func (p *passive) Destruct() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.failures = nil
	if p.timer != nil {
		p.timer.Stop()
		p.timer = nil
	}
	return nil
}

// subscribe has onChange called after each change of Healthy. It is not called any more once cancel returned,
// except by a change that was under way.
func (p *passive) subscribe(onChange func()) (cancel func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.watchers[&onChange] = struct{}{}
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.watchers, &onChange)
	}
}

// Healthy implements lb.Condition.
func (p *passive) Healthy() bool { return p.Fails() < p.config.MaxFails }

// Fails is the number of failures remembered now.
func (p *passive) Fails() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.failures)
}

// isFailure reports whether a try counts against its backend. One try counts once, for however many reasons; the
// client's failures, and answers that were merely not wanted, do not.
func (p *passive) isFailure(t *try) bool {
	switch {
	case t.Cause.blames():
		return true
	case t.Cause != causeNone && t.Status == 0:
		return false
	}
	for _, bad := range p.config.UnhealthyStatus {
		if caddyhttp.StatusCodeMatches(t.Status, bad) {
			return true
		}
	}
	limit := time.Duration(p.config.UnhealthyLatency)
	return limit > 0 && t.Latency >= limit
}

// strike remembers a failure from now on for the configured time.
func (p *passive) strike(now time.Time) {
	p.change(func() {
		forgetAt := now.Add(time.Duration(p.config.FailDuration))
		p.failures = append(p.failures, forgetAt)
		if p.timer == nil {
			p.timer = time.AfterFunc(time.Until(forgetAt), p.forget)
		}
	})
}

// forget drops the failures whose time is over and sets the timer to the next.
func (p *passive) forget() {
	p.change(func() {
		now := time.Now()
		n := 0
		for n < len(p.failures) && !p.failures[n].After(now) {
			n++
		}
		p.failures = append(p.failures[:0], p.failures[n:]...)
		if p.timer == nil {
			return // the last reference is gone
		}
		if len(p.failures) == 0 {
			p.timer = nil
			return
		}
		p.timer.Reset(time.Until(p.failures[0]))
	})
}

// change makes a change and tells the watchers if Healthy flipped by it.
func (p *passive) change(f func()) {
	p.mu.Lock()
	before := len(p.failures) < p.config.MaxFails
	f()
	after := len(p.failures) < p.config.MaxFails
	var watchers []*func()
	if before != after {
		for w := range p.watchers {
			watchers = append(watchers, w)
		}
	}
	p.mu.Unlock()
	for _, w := range watchers {
		(*w)()
	}
}

// recentFails is the number of failures that passive checks remember of a backend now.
func recentFails(m *lb.Member) int {
	n := 0
	for _, c := range m.Conditions {
		if p, ok := c.(*passive); ok {
			n += p.Fails()
		}
	}
	return n
}

// Interface guards
var (
	_ lb.Condition     = (*passive)(nil)
	_ caddy.Destructor = (*passive)(nil)
)
