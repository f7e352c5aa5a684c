package lb

import (
	"sync"
	"sync/atomic"
	"time"
)

const (
	recentWindow  = 10 * time.Second
	recentRefresh = 250 * time.Millisecond
)

// RecentLatency knows the distribution of the durations observed in the last 10 to 20 seconds: the window under way, and the one before.
//
// The zero value has observed nothing. All methods are safe for concurrent use and do not wait for each other. now is a reading of one
// monotonic clock in every call.
type RecentLatency struct {
	all       Histogram
	refreshed atomic.Int64 // when recent was made, in nanoseconds
	recent    atomic.Pointer[Counts]

	mu      sync.Mutex    // only tried, never waited for; guards what follows
	begun   time.Duration // of the window under way
	current Counts        // all at its begin
	before  Counts        // all at the begin of the window before
}

// Observe counts one duration.
func (r *RecentLatency) Observe(d time.Duration) { r.all.Observe(d) }

// Counts is what was observed lately, up to 250 ms ago. It is nil before the first window's first look and must not be changed; as long
// as it stays the same, so does the pointer.
func (r *RecentLatency) Counts(now time.Duration) *Counts {
	if r.recent.Load() == nil || now-time.Duration(r.refreshed.Load()) >= recentRefresh {
		r.refresh(now)
	}
	return r.recent.Load()
}

// refresh looks again, unless somebody does already.
func (r *RecentLatency) refresh(now time.Duration) {
	if !r.mu.TryLock() {
		return
	}
	defer r.mu.Unlock()
	counted := r.all.Snapshot()
	if r.recent.Load() == nil {
		r.begun = now // what came before counts to the first window
	}
	switch age := now - r.begun; {
	case age >= 2*recentWindow: // nobody looked for so long that no window is known
		r.before, r.current, r.begun = counted, counted, now
	case age >= recentWindow:
		r.before, r.current, r.begun = r.current, counted, now
	}
	recent := counted.Since(&r.before)
	r.recent.Store(&recent)
	r.refreshed.Store(int64(now))
}
