package ratelimit

import (
	"time"

	"github.com/caddylb/caddy-lb/lb"
)

// window judges by two counts: how much there was in the window before, of which the part counts that a window ending now still
// covers, as if it had come evenly, and how much there was in this one (as in HAProxy's freq_ctr, and in Cloudflare's "How we built rate
// limiting capable of scaling to millions of domains", 2017).
//
// What comes evenly is counted exactly. In each window of a key there are at most Events; in a time of one Window that begins
// anywhere, at most twice as many, namely when all of one window came at its end and all of the next did, too.
type window struct {
	events int64
	length int64 // nanoseconds
}

// judge says whether one more may come, elapsed into the window that has had now. A part of one that is left of the window before
// does not stop one: otherwise a limit of 1 would let one come in every other window.
func (w window) judge(before, now uint32, elapsed int64) lb.Taken {
	room := w.events - int64(now) - scale(w.length-elapsed, int64(before), w.length)
	if room <= 0 {
		return lb.Taken{RetryAfter: w.wait(before, now, elapsed), Reset: w.reset(now, elapsed)}
	}
	return lb.Taken{Allowed: true, Remaining: room - 1, Reset: w.reset(now+1, elapsed)}
}

// wait is how long it takes until there is room for one.
func (w window) wait(before, now uint32, elapsed int64) time.Duration {
	if room := w.events - int64(now); room > 0 {
		return w.below(before, room) - time.Duration(elapsed)
	}
	// This window is used up, and is the one before when there is room again.
	return time.Duration(w.length-elapsed) + w.below(now, w.events)
}

// below is how far into a window less than room is left of the before in the one before.
func (w window) below(before uint32, room int64) time.Duration {
	return time.Duration(scale(w.length, int64(before)-room, int64(before)) + 1)
}

// reset is how long it takes until nothing counts any more.
func (w window) reset(now uint32, elapsed int64) time.Duration {
	if now == 0 {
		return time.Duration(w.length - elapsed)
	}
	return time.Duration(2*w.length - elapsed)
}

// Window is a sliding window for each key, whose first begins with the key's first request.
type Window struct {
	window
	table *table[counts]
}

// counts are those of one key.
type counts struct {
	start       int64 // of the window that now counts for
	before, now uint32
}

// NewWindow returns windows for a valid limit and up to keys keys: 30 to 36 bytes for each of them when there are that many.
func NewWindow(l lb.Limit, keys int) *Window {
	w := window{events: l.Events, length: int64(l.Window)}
	return &Window{w, newTable(keys, func(c *counts, at int64) int64 {
		current := *c
		current.move(at, w.length)
		return int64(current.before) + int64(current.now)
	})}
}

// move goes on to the window of a time.
func (c *counts) move(at, length int64) {
	switch elapsed := at - c.start; {
	case elapsed < length:
	case elapsed < 2*length:
		*c = counts{start: c.start + length, before: c.now}
	default:
		*c = counts{start: at}
	}
}

// Take implements [Limiter].
func (w *Window) Take(key string, now time.Duration) lb.Taken {
	hash, at := hashOf(key), int64(now)
	s := w.table.shard(hash)
	s.mu.Lock()
	c := s.at(w.table, hash, at)
	if c.before == 0 && c.now == 0 {
		c.start = at
	}
	c.move(at, w.length)
	// Who read the clock before another one, and comes after it, may be before the start.
	taken := w.judge(c.before, c.now, max(at-c.start, 0))
	if taken.Allowed {
		c.now++
	}
	s.mu.Unlock()
	return taken
}

// Evicted implements [Limiter].
func (w *Window) Evicted() uint64 { return w.table.evicted() }
