package ratelimit

import (
	"math"
	"sync"
)

// ways is the number of places in a set: their hashes fill one line of a processor's cache.
const ways = 8

// table is a hash table from the hashes of keys to what is known of them. It has no pointers in it, so the garbage collector does not look at
// millions of entries, and keeps hashes instead of keys.
//
// A hash has its place in one of two sets of eight, in the one with more room when it comes (Azar, Broder, Karlin, Upfal, "Balanced
// allocations", 1994). That costs at most two looks, and needs no chains that deletions would have to mend. A place is
// free again when its entry owes nothing, which is seen when somebody looks for a place; nothing runs in the background.
//
// A shard without room in both sets becomes twice as large, up to its share of the table's size. Then the entry that owes least of the sixteen goes:
// new keys push out keys that were hardly used, and not those that have used up what they may.
type table[V any] struct {
	shards  []shard[V]
	shift   uint // hash >> shift is the shard
	maxSets int  // of a shard
	debt    func(v *V, now int64) int64
}

// shard is a part of a table under a lock of its own, on cache lines of its own.
type shard[V any] struct {
	mu      sync.Mutex
	evicted uint64
	hashes  [][ways]uint64 // 0 for a place that was never used
	values  [][ways]V
	_       [64]byte
}

// newTable returns a table for up to keys entries. debt says how much an entry matters; one of 0 or less is as good as none.
func newTable[V any](keys int, debt func(v *V, now int64) int64) *table[V] {
	// With four of five places taken, next to no hash finds both of its sets full. Small tables vary more, and spare more.
	places := keys + max(keys/4, min(keys, 16384)) + ways
	shards, shift := shardsFor(places, 64*ways)
	sets := int(ceilDiv(int64(places), int64(shards*ways)))
	if sets > 512 {
		// The allocator gives whole pages anyway.
		sets = roundUp(sets, 128)
	}
	t := &table[V]{shards: make([]shard[V], shards), shift: shift, maxSets: sets, debt: debt}
	for i := range t.shards {
		t.shards[i].resize(1)
	}
	return t
}

func (t *table[V]) shard(hash uint64) *shard[V] { return &t.shards[hash>>t.shift] }

// evicted is how many entries had to go that owed something.
func (t *table[V]) evicted() (n uint64) {
	for i := range t.shards {
		s := &t.shards[i]
		s.mu.Lock()
		n += s.evicted
		s.mu.Unlock()
	}
	return n
}

// at returns what is known for a hash, the zero value if nothing is. The caller has locked the shard and may change the value until it unlocks it.
func (s *shard[V]) at(t *table[V], hash uint64, now int64) *V {
	a, b := s.sets(hash)
	for _, set := range [2]int{a, b} {
		for i, h := range &s.hashes[set] {
			if h == hash {
				return &s.values[set][i]
			}
		}
	}
	v, ok := s.place(t, hash, now, false)
	if !ok {
		s.grow(t, now)
		v, _ = s.place(t, hash, now, true)
	}
	return v
}

// sets are the two sets of a hash, from bits that do not choose the shard.
func (s *shard[V]) sets(hash uint64) (a, b int) {
	n := uint64(len(s.hashes))
	return int(uint64(uint32(hash)) * n >> 32), int(uint64(uint32(hash>>24)) * n >> 32)
}

// place gives a place to a hash, in the set that has more free ones, with the zero value in it. Without a free one it takes that of the entry
// that owes least, if the table cannot grow or evict says so.
func (s *shard[V]) place(t *table[V], hash uint64, now int64, evict bool) (v *V, ok bool) {
	set, other := s.sets(hash)
	free, i, debt := s.look(t, set, now)
	if freeB, iB, debtB := s.look(t, other, now); freeB > free || freeB == free && debtB < debt {
		free, i, set = freeB, iB, other
	}
	if free == 0 {
		if !evict && len(s.hashes) < t.maxSets {
			return nil, false
		}
		s.evicted++
	}
	var zero V
	s.hashes[set][i] = hash
	s.values[set][i] = zero
	return &s.values[set][i], true
}

// look counts the free places of a set, and tells which of its places has the least debt, and how much.
func (s *shard[V]) look(t *table[V], set int, now int64) (free, i int, least int64) {
	least = math.MaxInt64
	for j, h := range &s.hashes[set] {
		var debt int64
		if h != 0 {
			debt = max(t.debt(&s.values[set][j], now), 0)
		}
		if debt == 0 {
			free++
		}
		if debt < least {
			i, least = j, debt
		}
	}
	return free, i, least
}

// grow doubles a shard, up to its share of the table, and leaves out what owes nothing.
func (s *shard[V]) grow(t *table[V], now int64) {
	hashes, values := s.hashes, s.values
	s.resize(min(2*len(hashes), t.maxSets))
	for set := range hashes {
		for i, h := range &hashes[set] {
			if h == 0 || t.debt(&values[set][i], now) <= 0 {
				continue
			}
			v, _ := s.place(t, h, now, true)
			*v = values[set][i]
		}
	}
}

func (s *shard[V]) resize(sets int) {
	s.hashes = make([][ways]uint64, sets)
	s.values = make([][ways]V, sets)
}
