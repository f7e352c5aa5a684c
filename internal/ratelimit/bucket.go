package ratelimit

import (
	"time"

	"github.com/caddylb/caddy-lb/lb"
)

// Bucket is a token bucket for each key: Burst tokens at first, Events new ones in each Window, at an even pace, up to Burst. In any time t
// there are at most Burst + Events*t/Window places.
//
// It is kept as the generic cell rate algorithm does (ITU-T I.371, Annex A, the virtual scheduling algorithm): one time for each
// key, at which the bucket is full again. What is left in it follows from that.
type Bucket struct {
	pace  int64 // nanoseconds for a token, rounded up, so that there are rather too few: by less than 1 % at the fastest rate
	depth int64 // nanoseconds for Burst tokens
	table *table[int64]
}

// NewBucket returns buckets for a valid limit and up to keys keys: 20 to 24 bytes for each of them when there are that many.
func NewBucket(l lb.Limit, keys int) *Bucket {
	pace := ceilDiv(int64(l.Window), l.Events)
	return &Bucket{
		pace:  pace,
		depth: pace * l.Burst,
		table: newTable(keys, func(full *int64, now int64) int64 { return *full - now }),
	}
}

// Take implements [Limiter].
func (b *Bucket) Take(key string, now time.Duration) lb.Taken {
	hash, at := hashOf(key), int64(now)
	s := b.table.shard(hash)
	s.mu.Lock()
	full := s.at(b.table, hash, at)
	var taken lb.Taken
	*full, taken = b.take(*full, at)
	s.mu.Unlock()
	return taken
}

// take takes a token from a bucket that is full at a time, and returns when it is full then.
func (b *Bucket) take(full, now int64) (int64, lb.Taken) {
	owed := max(full-now, 0)
	if wait := owed + b.pace - b.depth; wait > 0 {
		return full, lb.Taken{RetryAfter: time.Duration(wait), Reset: time.Duration(owed)}
	}
	owed += b.pace
	return now + owed, lb.Taken{Allowed: true, Remaining: (b.depth - owed) / b.pace, Reset: time.Duration(owed)}
}

// Evicted implements [Limiter].
func (b *Bucket) Evicted() uint64 { return b.table.evicted() }
