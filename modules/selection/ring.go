package selection

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math/bits"
	"slices"

	"github.com/caddylb/caddy-lb/lb"
)

// maxPoints bounds a ring; at 6 to 10 bytes a point that is up to 160 MB.
const maxPoints = 1 << 24

// ring is a ketama ring: points in ascending order, each with the member that owns the keys up to it. It is
// immutable.
type ring struct {
	hashes []uint32
	owners []uint16

	// start[b] is the first point whose hash has the top bits b or higher. There are about as many buckets as
	// points and hashes are spread evenly, so a lookup passes over one point or two.
	start []uint32
	shift uint
}

// buildRing places weight × points points for each member, in the way of Pingora and nginx: a CRC-32 of host
// and port is continued over the little-endian point before, from 0 on. On equal hashes the member first in
// canonical order keeps the point.
func buildRing(members []*lb.Member, points int, text func(*lb.Member) (host, port string)) (*ring, error) {
	total := totalWeight(members) * uint64(points)
	if total > maxPoints {
		return nil, fmt.Errorf("the weights make a ring of %d points, and %d is the most: divide the weights, or "+
			"set points below %d", total, maxPoints, points)
	}
	packed := make([]uint64, 0, total)
	previous := make([]byte, 4)
	for i, m := range members {
		host, port := text(m)
		base := crc32.ChecksumIEEE([]byte(host + "\x00" + port))
		clear(previous)
		for range m.Weight * points {
			hash := crc32.Update(base, crc32.IEEETable, previous)
			packed = append(packed, uint64(hash)<<32|uint64(i))
			binary.LittleEndian.PutUint32(previous, hash)
		}
	}
	packed = sortByHash(packed)
	packed = slices.CompactFunc(packed, func(a, b uint64) bool { return a>>32 == b>>32 })
	return newRing(packed), nil
}

// sortByHash sorts points by their upper 32 bits and leaves equal ones in the order they are in: a radix sort,
// which takes a fraction of the time of comparing where points are many.
func sortByHash(points []uint64) []uint64 {
	other := make([]uint64, len(points))
	for shift := 32; shift < 64; shift += 16 {
		starts := make([]uint32, 1<<16+1)
		for _, p := range points {
			starts[int(uint16(p>>shift))+1]++
		}
		for digit := 1; digit < len(starts); digit++ {
			starts[digit] += starts[digit-1]
		}
		for _, p := range points {
			digit := uint16(p >> shift)
			other[starts[digit]] = p
			starts[digit]++
		}
		points, other = other, points
	}
	return points
}

// newRing makes a ring of distinct points in ascending order, each a hash and below it 32 bits of owner.
func newRing(packed []uint64) *ring {
	r := &ring{hashes: make([]uint32, len(packed)), owners: make([]uint16, len(packed))}
	for i, p := range packed {
		r.hashes[i], r.owners[i] = uint32(p>>32), uint16(p)
	}
	if len(packed) == 0 {
		return r
	}
	width := max(1, bits.Len(uint(len(packed))))
	r.shift = uint(32 - width)
	r.start = make([]uint32, 1<<width)
	point := 0
	for b := range r.start {
		for point < len(r.hashes) && r.hashes[point]>>r.shift < uint32(b) {
			point++
		}
		r.start[b] = uint32(point)
	}
	return r
}

// at returns the first point at or above hash, wrapping. The ring is not empty.
func (r *ring) at(hash uint32) int {
	i := int(r.start[hash>>r.shift])
	for i < len(r.hashes) && r.hashes[i] < hash {
		i++
	}
	if i == len(r.hashes) {
		return 0
	}
	return i
}
