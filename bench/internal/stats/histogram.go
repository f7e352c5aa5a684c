// Package stats has what the benchmark makes numbers of: a histogram of latencies, and medians.
package stats

import "math/bits"

// The histogram is exact below 2^subBits nanoseconds and has 2^(subBits-1) buckets for each power of two above, so
// that an error is below 0.8 %. This is the layout of HdrHistogram.
const (
	subBits = 8
	half    = 1 << (subBits - 1)
)

// Histogram counts durations in nanoseconds. The zero value is empty and ready.
type Histogram struct {
	counts [(64 - subBits + 2) * half]int64
	total  int64
}

// Add counts one duration; a negative one counts as none.
func (h *Histogram) Add(ns int64) {
	h.counts[bucket(uint64(max(ns, 0)))]++
	h.total++
}

// Count is how many durations were added.
func (h *Histogram) Count() int64 { return h.total }

// Quantile is the duration that the fraction q of all, between 0 and 1, do not exceed, in nanoseconds; 0 when nothing
// was added.
func (h *Histogram) Quantile(q float64) int64 {
	if h.total == 0 {
		return 0
	}
	rank := max(int64(q*float64(h.total)+0.5), 1)
	var seen int64
	for i, n := range &h.counts {
		if seen += n; seen >= rank {
			return middle(i)
		}
	}
	return middle(len(h.counts) - 1)
}

// bucket finds where a value is counted.
func bucket(v uint64) int {
	shift := max(bits.Len64(v)-subBits, 0)
	return shift*half + int(v>>shift)
}

// middle is the value in the middle of a bucket.
func middle(i int) int64 {
	shift := max(i/half-1, 0)
	low := uint64(i-shift*half) << shift
	return int64(low + uint64(1)<<shift/2)
}
