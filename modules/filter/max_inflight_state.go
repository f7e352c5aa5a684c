package filter

import (
	"hash/maphash"
	"sync"

	"github.com/caddyserver/caddy/v2"
)

// inflightLimits are all limits of concurrent requests that a configuration uses, by definition.
var inflightLimits = caddy.NewUsagePool()

// inflightDefinition is what two limits have to share to be one.
type inflightDefinition struct {
	name, key string
	max       int
}

// inflightState counts the requests under way for each key that has some.
type inflightState struct {
	label   string // in metrics
	results tally
	shards  [64]inflightShard
}

// inflightShard is a part of the keys. The map holds their hashes and no pointers, so the garbage collector does not look into it.
type inflightShard struct {
	mu     sync.Mutex
	active map[uint64]int
	peak   int // most keys that active had
	_      [40]byte
}

// inflightSeed makes hashes different in each process, so that nobody can look for keys that share one.
var inflightSeed = maphash.MakeSeed()

// acquire returns the limit, and takes a reference to it.
func (d inflightDefinition) acquire() *inflightState {
	v, _, _ := inflightLimits.LoadOrNew(d, func() (caddy.Destructor, error) {
		s := &inflightState{label: d.name}
		if d.name == "" {
			s.label = d.key + " " + numberText(int64(d.max))
		}
		for i := range s.shards {
			s.shards[i].active = make(map[uint64]int)
		}
		return s, nil
	})
	return v.(*inflightState)
}

// Destruct implements [caddy.Destructor].
func (*inflightState) Destruct() error { return nil }

// enter takes a place if the key holds fewer than limit, or if force is set. leave has to be called with place when it is taken.
func (s *inflightState) enter(key string, limit int, force bool) (place uint64, under bool) {
	place = maphash.String(inflightSeed, key)
	shard := s.shard(place)
	shard.mu.Lock()
	defer shard.mu.Unlock()
	n := shard.active[place]
	under = n < limit
	if under || force {
		shard.active[place] = n + 1
		shard.peak = max(shard.peak, len(shard.active))
	}
	return place, under
}

// leave gives a place back.
func (s *inflightState) leave(place uint64) {
	shard := s.shard(place)
	shard.mu.Lock()
	defer shard.mu.Unlock()
	if n := shard.active[place]; n > 1 {
		shard.active[place] = n - 1
		return
	}
	delete(shard.active, place)
	// Maps do not give memory back: one that was large and is empty is replaced.
	if len(shard.active) == 0 && shard.peak > 1024 {
		shard.active, shard.peak = make(map[uint64]int), 0
	}
}

func (s *inflightState) shard(place uint64) *inflightShard {
	return &s.shards[place%uint64(len(s.shards))]
}

// total is the number of places that are taken.
func (s *inflightState) total() (n int) {
	for i := range s.shards {
		shard := &s.shards[i]
		shard.mu.Lock()
		for _, active := range shard.active {
			n += active
		}
		shard.mu.Unlock()
	}
	return n
}
