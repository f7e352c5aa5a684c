package h1

import (
	"sync/atomic"
	"time"
)

// lifetime is for how long a server keeps idle connections, as far as it has shown. A server may close a connection at the moment
// that a request is sent on it, and when the connection is then reset nobody can tell whether the request was read. A request that
// must not be sent twice therefore goes out only on connections that are clearly younger than those which were seen
// to end. All methods are safe for concurrent use.
type lifetime struct {
	shortest atomic.Int64 // idle time of a connection that the server ended; 0 when none did
	seen     atomic.Int64 // when, by now
}

// lifetimeMemory is how long an observation holds: servers restart, and are configured anew.
const lifetimeMemory = time.Minute

// ended notes that the server ended a connection which had been idle for age at most.
func (l *lifetime) ended(age, at time.Duration) {
	if s := time.Duration(l.shortest.Load()); s == 0 || age <= s || at-time.Duration(l.seen.Load()) > lifetimeMemory {
		l.shortest.Store(int64(max(age, 1)))
		l.seen.Store(int64(at))
	}
}

// covers reports whether a connection that has been idle for age will not be ended just now, as far as is known.
func (l *lifetime) covers(age, at time.Duration) bool {
	s := time.Duration(l.shortest.Load())
	return s == 0 || age < s/2 || at-time.Duration(l.seen.Load()) > lifetimeMemory
}
