package selection

import (
	"github.com/cespare/xxhash/v2"

	"github.com/caddylb/caddy-lb/lb"
)

// Seeds of the two hashes of a backend's name.
const (
	maglevOffsetSeed = 0x6f66667365740a01
	maglevSkipSeed   = 0x736b69700a02
)

// noOwner marks an entry of a table that is being filled and that nobody has taken yet.
const noOwner = 1<<16 - 1

// buildMaglev fills a table of a prime number of entries with the indexes of members (D. Eisenbud et al.,
// "Maglev: a fast and reliable software network load balancer", 2016, section 3.4): each member has a
// permutation of the entries, from two hashes of its name, and in its turn takes the first that is free.
//
// Turns are by weight, earliest deadline first, where each member has one before any has two. With equal
// weights that is the paper's plain alternation. members holds fewer than size, and one with a weight.
func buildMaglev(members []*lb.Member, size uint32) []uint16 {
	type permutation struct {
		member   uint16
		at, skip uint32
	}
	var lists []permutation
	var weights []uint64
	for i, m := range members {
		if m.Weight == 0 {
			continue
		}
		id := m.Address().ID()
		lists = append(lists, permutation{
			member: uint16(i),
			at:     uint32(seededHash(id, maglevOffsetSeed) % uint64(size)),
			skip:   uint32(seededHash(id, maglevSkipSeed)%uint64(size-1)) + 1,
		})
		weights = append(weights, uint64(m.Weight))
	}

	table := make([]uint16, size)
	for i := range table {
		table[i] = noOwner
	}
	turns := newDeadlines(weights, 0)
	for range table {
		l := &lists[turns.next()]
		for table[l.at] != noOwner {
			if l.at += l.skip; l.at >= size {
				l.at -= size
			}
		}
		table[l.at] = l.member
	}
	return table
}

// seededHash is the XXH64 hash of s under a seed.
func seededHash(s string, seed uint64) uint64 {
	d := xxhash.NewWithSeed(seed)
	_, _ = d.WriteString(s)
	return d.Sum64()
}

// isPrime reports whether n is a prime number.
func isPrime(n int) bool {
	for i := 2; i*i <= n; i++ {
		if n%i == 0 {
			return false
		}
	}
	return n > 1
}

// primesAround returns the primes next to n, below and above it; below is 0 when there is none.
func primesAround(n int) (below, above int) {
	for below = max(n-1, 0); below > 0 && !isPrime(below); below-- {
	}
	for above = max(n+1, 2); !isPrime(above); above++ {
	}
	return below, above
}
