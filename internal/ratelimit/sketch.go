package ratelimit

import (
	"sync"
	"time"

	"github.com/caddylb/caddy-lb/lb"
)

// rows is how many counters each key has.
const rows = 4

// Sketch is a sliding window for each key in memory that does not depend on the number of keys: two count-min sketches that take turns, one
// for the window before and one for that of now, as Rate and Estimator of pingora-limits. Windows are the same for all keys.
//
// A key's count is the least of its counters, one in each row, and never too low. It is too high by more than N*e/w with a probability of at most
// exp(-4), 1.8 %, where w is the number of counters in a row and N what was let through in the window for all keys together (G. Cormode, S.
// Muthukrishnan, "An improved data stream summary: the count-min sketch and its applications", 2005). Two things make it
// better: only the counters that are too low are raised (C. Estan, G. Varghese, "New directions in traffic measurement and accounting",
// 2002), and what is refused is not counted.
type Sketch struct {
	window
	width  int // counters of a row in a shard
	shift  uint
	shards []sketchShard
}

// sketchShard is a sketch for a part of the keys.
type sketchShard struct {
	mu          sync.Mutex
	index       int64 // of the window that now counts for
	before, now []uint32
	_           [64]byte
}

// NewSketch returns a sketch for a valid limit, with a counter in each row for four of keys. It takes 8 to 9 bytes for each of them.
func NewSketch(l lb.Limit, keys int) *Sketch {
	w := max(keys/4, 256)
	shards, shift := shardsFor(w, 256)
	s := &Sketch{
		window: window{events: l.Events, length: int64(l.Window)},
		width:  roundUp(w/shards, 128), // so that the allocator gives no more than that
		shift:  shift,
		shards: make([]sketchShard, shards),
	}
	for i := range s.shards {
		s.shards[i].before = make([]uint32, rows*s.width)
		s.shards[i].now = make([]uint32, rows*s.width)
	}
	return s
}

// Take implements [Limiter].
func (s *Sketch) Take(key string, now time.Duration) lb.Taken {
	hash, at := hashOf(key), int64(now)
	cells := s.cells(hash)
	shard := &s.shards[hash>>s.shift]
	shard.mu.Lock()
	shard.move(at / s.length)
	count := least(shard.now, &cells)
	taken := s.judge(least(shard.before, &cells), count, max(at-shard.index*s.length, 0))
	if taken.Allowed {
		for _, i := range &cells {
			shard.now[i] = max(shard.now[i], count+1)
		}
	}
	shard.mu.Unlock()
	return taken
}

// move goes on to the window of an index. Who read the clock before another one, and comes after it, stays in the other one's.
func (s *sketchShard) move(index int64) {
	switch {
	case index <= s.index:
		return
	case index == s.index+1:
		s.before, s.now = s.now, s.before
	default:
		clear(s.before)
	}
	clear(s.now)
	s.index = index
}

// cells are the key's counters, by multiply-shift hashing with odd constants (M. Dietzfelbinger et al., "A reliable randomized algorithm
// for the closest-pair problem", 1997) of a hash that is random already.
func (s *Sketch) cells(hash uint64) (cells [rows]int) {
	for row, factor := range &[rows]uint64{0x9e3779b97f4a7c15, 0xbf58476d1ce4e5b9, 0x94d049bb133111eb, 0xd6e8feb86659fd93} {
		column := (hash * factor >> 32) * uint64(s.width) >> 32
		cells[row] = row*s.width + int(column)
	}
	return cells
}

// least is the estimate of a count.
func least(counters []uint32, cells *[rows]int) uint32 {
	return min(counters[cells[0]], counters[cells[1]], counters[cells[2]], counters[cells[3]])
}

// Evicted implements [Limiter]. A sketch forgets no key.
func (s *Sketch) Evicted() uint64 { return 0 }
