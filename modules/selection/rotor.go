package selection

import (
	"math"
	"math/bits"
	"slices"
	"sort"
)

// maxSchedule is the longest cycle that is laid out as a table, 128 KiB of it.
const maxSchedule = 1 << 16

// rotor says whose turn it is at each tick of a counter, by smooth weighted round robin: any stretch of ticks
// as long as the sum of the weights, divided by their greatest common divisor, has each member exactly as
// often as its divided weight. It is immutable.
type rotor struct {
	given []uint64 // weights as given
	total divisor  // sum of the divided weights
	cycle []uint16 // the cycle as a table; nil when it would be too long

	// Without a table, ticks walk the range [0, total) in strides near its golden section, which spreads each
	// member's part of the range evenly, and being coprime to total visit each place once in a cycle.
	ends   []uint64 // running sums of the divided weights
	stride uint64
}

// newRotor compiles weights, of which each is above 0, or takes over prev when it has the same.
func newRotor(weights []uint64, prev *rotor) *rotor {
	if prev != nil && slices.Equal(prev.given, weights) {
		return prev
	}
	r := &rotor{given: weights}
	if len(weights) == 0 {
		return r
	}
	var common, total uint64
	for _, w := range weights {
		common = gcd(w, common)
	}
	divided := make([]uint64, len(weights))
	for i, w := range weights {
		divided[i] = w / common
		total += divided[i]
	}
	r.total = newDivisor(total)
	if total <= maxSchedule {
		r.cycle = schedule(divided)
		return r
	}
	r.stride = goldenStride(total)
	r.ends = divided
	for i := 1; i < len(divided); i++ {
		r.ends[i] += r.ends[i-1]
	}
	return r
}

// at returns the index of the member whose turn tick is.
func (r *rotor) at(tick uint64) int {
	tick = r.total.mod(tick)
	if r.cycle != nil {
		return int(r.cycle[tick])
	}
	hi, lo := bits.Mul64(tick, r.stride)
	place := bits.Rem64(hi, lo, r.total.d)
	return sort.Search(len(r.ends), func(i int) bool { return r.ends[i] > place })
}

// goldenStride is the number nearest to n / φ that is coprime to n.
func goldenStride(n uint64) uint64 {
	middle := uint64(float64(n) / math.Phi)
	for off := uint64(0); ; off++ {
		if gcd(middle-off, n) == 1 {
			return middle - off
		}
		if gcd(middle+off, n) == 1 {
			return middle + off
		}
	}
}

func gcd(a, b uint64) uint64 {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}
