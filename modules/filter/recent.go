package filter

import (
	"hash/maphash"
	"sync"
)

// recentShards keeps requests of different keys from waiting for one lock.
const recentShards = 32

// recent keeps values of the keys that were asked for last, in bounded memory. Each shard has two generations of keys: asking for one
// brings it into the young generation, and when that is full it becomes the old one, whose keys are forgotten. So the keys kept are those
// of at least the last half of the bound, without a list to maintain. It is safe for concurrent use.
type recent[K comparable, V any] struct {
	seed   maphash.Seed
	create func() V
	shards [recentShards]recentShard[K, V]
}

type recentShard[K comparable, V any] struct {
	mu         sync.Mutex
	limit      int // keys of a generation
	young, old map[K]V
}

// newRecent keeps at most about limit keys, whose values create makes.
func newRecent[K comparable, V any](limit int, create func() V) *recent[K, V] {
	r := &recent[K, V]{seed: maphash.MakeSeed(), create: create}
	for i := range r.shards {
		r.shards[i].limit = max(limit/recentShards/2, 1)
		r.shards[i].young = make(map[K]V)
	}
	return r
}

// get returns the value of a key.
func (r *recent[K, V]) get(key K) V {
	s := &r.shards[maphash.Comparable(r.seed, key)%recentShards]
	s.mu.Lock()
	defer s.mu.Unlock()
	if v, ok := s.young[key]; ok {
		return v
	}
	v, ok := s.old[key]
	if !ok {
		v = r.create()
	}
	if len(s.young) >= s.limit {
		s.old, s.young = s.young, make(map[K]V)
	}
	s.young[key] = v
	return v
}
