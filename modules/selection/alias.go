package selection

import "math/bits"

// alias draws an index at random, each with a probability exactly proportional to its weight, in constant
// time: Walker's alias method with Vose's construction (M. D. Vose, "A linear algorithm for generating random
// numbers with a given distribution", 1991), in integers. It is immutable.
type alias struct {
	n       uint64
	columns []column // nil when all weights are equal
}

// column is one of n equally likely columns, shared by its own index below cut and by another above it.
type column struct {
	cut   uint64
	other uint32
}

// newAlias compiles weights, of which each is above 0.
func newAlias(weights []uint64) *alias {
	n := uint64(len(weights))
	a := &alias{n: n}
	var total uint64
	equal := true
	for _, w := range weights {
		total += w
		equal = equal && w == weights[0]
	}
	if equal {
		return a
	}

	// Scaled by n the weights average total, which is what fills a column.
	a.columns = make([]column, n)
	scaled := make([]uint64, n)
	var small, large []uint32
	for i, w := range weights {
		scaled[i] = w * n
		if scaled[i] < total {
			small = append(small, uint32(i))
		} else {
			large = append(large, uint32(i))
		}
	}
	for len(small) > 0 && len(large) > 0 {
		s, l := small[len(small)-1], large[len(large)-1]
		small = small[:len(small)-1]
		cut, _ := bits.Div64(scaled[s], 0, total)
		a.columns[s] = column{cut: cut, other: l}
		scaled[l] -= total - scaled[s]
		if scaled[l] < total {
			large = large[:len(large)-1]
			small = append(small, l)
		}
	}
	// Integers add up exactly: what is left fills its column.
	for _, l := range large {
		a.columns[l] = column{cut: ^uint64(0), other: l}
	}
	return a
}

// draw turns 64 random bits into an index: the high part of r × n is the column, the low part the place in it.
func (a *alias) draw(r uint64) int {
	i, place := bits.Mul64(r, a.n)
	if a.columns != nil && place >= a.columns[i].cut {
		return int(a.columns[i].other)
	}
	return int(i)
}
