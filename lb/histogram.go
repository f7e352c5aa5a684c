package lb

import (
	"math"
	"math/bits"
	"sync/atomic"
	"time"
)

// Histogram has 8 buckets for each doubling (HdrHistogram's log-linear layout), from 2^10 ns, about 1 µs, to 2^37 ns, about 137 s.
const (
	subBits      = 3
	lowestPower  = 10
	highestPower = 37

	histogramBuckets = (highestPower - lowestPower) << subBits
)

// Histogram counts durations in buckets that grow with the duration, so that quantiles of any of them are known to within 12.5 %. What
// is below 1 µs or above 137 s counts in the first or the last bucket.
//
// Counts only grow. Several readers look at intervals of their own by subtracting what they saw before: see [Counts.Since].
//
// The zero value is empty, and has 864 bytes. All methods are safe for concurrent use and neither lock nor allocate.
type Histogram struct {
	counts [histogramBuckets]atomic.Uint32
}

// Observe counts one duration.
func (h *Histogram) Observe(d time.Duration) { h.counts[bucketOf(d)].Add(1) }

// Snapshot is what was counted until now. Durations observed meanwhile may be in it or not.
func (h *Histogram) Snapshot() (c Counts) {
	for i := range c {
		c[i] = h.counts[i].Load()
	}
	return c
}

// Counts are the numbers of a [Histogram] at a time, or of the time between two. They are a plain value.
type Counts [histogramBuckets]uint32

// Since is what was counted after earlier, a snapshot of the same histogram. Numbers may have wrapped around in between, if there were
// fewer than 2^32 of a bucket.
func (c *Counts) Since(earlier *Counts) (between Counts) {
	for i := range c {
		between[i] = c[i] - earlier[i]
	}
	return between
}

// Total is how many durations were counted.
func (c *Counts) Total() (n uint64) {
	for _, count := range c {
		n += uint64(count)
	}
	return n
}

// Quantile is the duration that a share q of those counted do not exceed, from 0 to 1: 0.5 is the median, 0.99 the 99th percentile. It is
// interpolated within its bucket, so it is off by at most the bucket's width, 12.5 % of it. ok is false when nothing was counted.
func (c *Counts) Quantile(q float64) (d time.Duration, ok bool) {
	total := c.Total()
	if total == 0 {
		return 0, false
	}
	rank := max(1, math.Ceil(min(max(q, 0), 1)*float64(total)))
	below := 0.0
	for i, count := range c {
		if n := float64(count); below+n >= rank {
			low, high := bucketBounds(i)
			return low + time.Duration((rank-below)/n*float64(high-low)), true
		}
		below += float64(count)
	}
	return 1 << highestPower, true
}

// bucketOf is the index of a duration's bucket: the highest bit says which doubling, the three below it which eighth.
func bucketOf(d time.Duration) int {
	ns := min(max(int64(d), 1<<lowestPower), 1<<highestPower-1)
	power := bits.Len64(uint64(ns)) - 1
	eighth := int(ns>>(power-subBits)) & (1<<subBits - 1)
	return (power-lowestPower)<<subBits | eighth
}

// bucketBounds is from which duration on, and below which, the bucket counts. The first begins at 0.
func bucketBounds(i int) (low, high time.Duration) {
	power, eighth := lowestPower+i>>subBits, time.Duration(i&(1<<subBits-1))
	width := time.Duration(1) << (power - subBits)
	low = (1<<subBits + eighth) * width
	if i == 0 {
		return 0, low + width
	}
	return low, low + width
}
