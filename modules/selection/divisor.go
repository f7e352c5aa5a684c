package selection

import "math/bits"

// divisor takes remainders by one number often. A multiplication by the precomputed inverse replaces the
// division, which costs several times as much.
type divisor struct {
	d       uint64
	inverse uint64 // floor((2^64-1) / d)
}

// newDivisor prepares d, which lies within 1 and 2^62.
func newDivisor(d uint64) divisor { return divisor{d: d, inverse: ^uint64(0) / d} }

// mod is n modulo d. The estimated quotient is at most 2 too small.
func (v divisor) mod(n uint64) uint64 {
	q, _ := bits.Mul64(n, v.inverse)
	n -= q * v.d
	for n >= v.d {
		n -= v.d
	}
	return n
}
