package h1

import (
	"sync"
	"sync/atomic"
	"time"
)

// lifetime is for how long a server keeps idle connections, as far as it has shown. A server may close a connection at the moment
// that a request is sent on it, and when the connection is then reset nobody can tell whether the request was read. A request that
// must not be sent twice therefore goes out only on connections that are clearly younger than those which were seen
// to end, and on new ones where connections end so early that no age is safe, or as long as none is known to have been kept at all. All methods are
// safe for concurrent use.
type lifetime struct {
	shortest atomic.Int64 // idle time of a connection that the server ended, in this period and the one before; 0 when none did
	until    atomic.Int64 // when shortest is forgotten, by now
	keeps    atomic.Bool  // a connection was seen alive that had been idle for keptAge

	mu                sync.Mutex
	begun             time.Duration // of the period, by now
	current, previous time.Duration // the shortest of each period; 0 when there is none
}

const (
	// lifetimePeriod is how long an observation holds at the least, and half of how long at the most: servers restart, and are
	// configured anew.
	lifetimePeriod = time.Minute

	// shortLifetime is a lifetime below which connections may end at any age.
	shortLifetime = 10 * time.Millisecond

	// longLived is an age that no connection reaches if they end that early.
	longLived = time.Second

	// keptAge is the age of a connection that shows that its server keeps them.
	keptAge = 10 * shortLifetime
)

// ended notes that the server ended a connection which had been idle for age at most.
func (l *lifetime) ended(age, at time.Duration) {
	age = max(age, 1)
	l.mu.Lock()
	defer l.mu.Unlock()
	if passed := at - l.begun; passed >= lifetimePeriod {
		l.previous = l.current
		if passed >= 2*lifetimePeriod {
			l.previous = 0
		}
		l.begun, l.current = at, 0
	}
	if l.current == 0 || age < l.current {
		l.current = age
	}
	shortest := l.current
	if l.previous > 0 {
		shortest = min(shortest, l.previous)
	}
	l.shortest.Store(int64(shortest))
	l.until.Store(int64(l.begun + 2*lifetimePeriod))
}

// survived notes that a connection is alive which has been idle for age. What was taken for a short lifetime may then have been something
// else, such as a restart.
func (l *lifetime) survived(age time.Duration) {
	if age >= keptAge && !l.keeps.Load() {
		l.keeps.Store(true)
	}
	if s := time.Duration(l.shortest.Load()); s == 0 || s >= shortLifetime || age < longLived {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.current, l.previous = 0, 0
	l.shortest.Store(0)
}

// covers reports whether a connection that has been idle for age will not be ended just now, as far as is known.
func (l *lifetime) covers(age, at time.Duration) bool {
	s := time.Duration(l.shortest.Load())
	if s == 0 || int64(at) > l.until.Load() {
		return l.keeps.Load()
	}
	return s >= shortLifetime && age < s/2
}
