package cluster

import (
	"math/rand/v2"
	"sync/atomic"
	"time"
)

// linkSet is the connections of one time for which Redis was there.
type linkSet struct {
	links  []*link
	turn   atomic.Uint32
	misses atomic.Int32
	failed chan error // gets the first reason to give the set up
}

// next is the connection for the next call.
func (s *linkSet) next() *link {
	return s.links[int(s.turn.Add(1)%uint32(len(s.links)))]
}

// fail has the set given up.
func (s *linkSet) fail(reason error) {
	select {
	case s.failed <- reason:
	default:
	}
}

// hit counts an answer that came in time.
func (s *linkSet) hit() {
	if s.misses.Load() != 0 {
		s.misses.Store(0)
	}
}

// miss counts one that did not, or a refusal. Too many in a row, and the set is given up.
func (s *linkSet) miss(reason error) {
	if s.misses.Add(1) >= maxMisses {
		s.fail(reason)
	}
}

// close closes the connections and waits until nothing uses them.
func (s *linkSet) close(reason error) {
	for _, l := range s.links {
		l.close(reason)
	}
	for _, l := range s.links {
		l.ended.Wait()
	}
}

// jitter spreads the pauses of many instances that lost the same Redis.
func jitter(d time.Duration) time.Duration {
	return time.Duration(float64(d) * (0.8 + 0.4*rand.Float64()))
}
