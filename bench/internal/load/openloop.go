package load

import (
	"time"

	"github.com/caddylb/caddy-lb/bench/internal/reactor"
)

// finestTick bounds how often the schedule is looked at.
const finestTick = 50 * time.Microsecond

// openLoop starts requests at a fixed rate, whatever the answers do. A request that finds no free place waits, and its
// latency counts from the time it should have been sent, so that a slow answer is not excused by the requests that
// it held up ("coordinated omission", Gil Tene).
type openLoop struct {
	d        *driver
	interval int64 // nanoseconds
	due      int64 // when the next request is to start
	idle     queue[place]
	waiting  queue[int64] // when requests should have started
}

// newOpenLoop takes over the places of a driver, which are free.
func newOpenLoop(d *driver, rate int) (*reactor.Ticker, error) {
	o := &openLoop{d: d, interval: int64(time.Second) / int64(rate), due: d.loop.Now()}
	for _, p := range d.places {
		o.idle.push(p)
	}
	d.free = o.free
	return reactor.NewTicker(d.loop, max(time.Duration(o.interval), finestTick), o.tick)
}

// tick starts what is due.
func (o *openLoop) tick() {
	for now := o.d.loop.Now(); o.due <= now; o.due += o.interval {
		if p, ok := o.idle.pop(); ok {
			o.d.begin(p, o.due)
		} else {
			o.waiting.push(o.due)
		}
	}
}

func (o *openLoop) free(p place) {
	if due, ok := o.waiting.pop(); ok {
		o.d.begin(p, due)
		return
	}
	o.idle.push(p)
}

// queue is first in, first out.
type queue[T any] struct {
	items []T
	first int
}

func (q *queue[T]) push(item T) { q.items = append(q.items, item) }

func (q *queue[T]) pop() (item T, ok bool) {
	if q.first == len(q.items) {
		return item, false
	}
	item = q.items[q.first]
	if q.first++; q.first >= 1024 && q.first*2 >= len(q.items) {
		q.items = append(q.items[:0], q.items[q.first:]...)
		q.first = 0
	}
	return item, true
}
