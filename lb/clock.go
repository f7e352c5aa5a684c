package lb

import "time"

var epoch = time.Now()

// Monotonic is the time since the process started, on the clock that latencies are observed and read with.
// Clocks of the operating system may be set back; this one is not.
func Monotonic() time.Duration { return time.Since(epoch) }

// MonotonicAt is t on that clock; t has a monotonic reading, as those of time.Now have.
func MonotonicAt(t time.Time) time.Duration { return t.Sub(epoch) }
