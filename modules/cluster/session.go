package cluster

import (
	"math/rand/v2"
	"sync/atomic"
	"time"
)

// maxMisses is how many calls in a row may fail until Redis is given up.
const maxMisses = 3

// session is one time for which Redis was there. All calls share one connection: what waits is written together, which costs both sides
// half of what a connection for each request does, and several connections would only make smaller heaps of it. Redis answers one call
// after another anyway.
type session struct {
	link   *link
	misses atomic.Int32
	failed chan error // gets the first reason to give the session up
}

// fail has the session given up.
func (s *session) fail(reason error) {
	select {
	case s.failed <- reason:
	default:
	}
}

// hit counts an answer that came in time.
func (s *session) hit() {
	if s.misses.Load() != 0 {
		s.misses.Store(0)
	}
}

// miss counts one that did not, or a refusal. Too many in a row, and the session is given up.
func (s *session) miss(reason error) {
	if s.misses.Add(1) >= maxMisses {
		s.fail(reason)
	}
}

// close ends the connection and waits until nothing uses it.
func (s *session) close(reason error) {
	s.link.close(reason)
	s.link.ended.Wait()
}

// jitter spreads the pauses of many instances that lost the same Redis.
func jitter(d time.Duration) time.Duration {
	return time.Duration(float64(d) * (0.8 + 0.4*rand.Float64()))
}
