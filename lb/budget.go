package lb

import (
	"sync/atomic"
	"time"
)

// budgetWindow is how many seconds a [Budget] looks back, as in Finagle's retry budget.
const budgetWindow = 10

// Budget bounds what is done on top of requests, such as retries, by the number of requests in the last 10 seconds, so that
// failing backends are not given many times the load they failed under (Finagle's and Envoy's retry budget). Time counts in whole seconds.
//
// The zero value has counted nothing. All methods are safe for concurrent use and neither lock nor allocate. now is a
// reading of one monotonic clock in every call.
type Budget struct {
	begun    atomic.Int64 // the second of the first call, plus 1; 0 before
	requests slidingCount
	extras   slidingCount
}

// BudgetLimit is how much a [Budget] allows.
type BudgetLimit struct {
	// Share is the extras allowed for each request: 0.2 is one for every five requests.
	Share float64

	// MinPerSecond is the extras allowed each second however few requests there are, for the seconds since the first use, 10 at most.
	MinPerSecond float64
}

// Request counts a request.
func (b *Budget) Request(now time.Duration) { b.requests.add(b.second(now), 1) }

// Take counts one extra, unless the limit is reached: it reports false then. With it, the extras of the last 10 seconds are at
// most the larger of what the requests of these seconds and what the seconds themselves allow. Calls that are under way at
// once may be refused the last one that is left.
func (b *Budget) Take(limit BudgetLimit, now time.Duration) bool {
	second := b.second(now)
	b.extras.add(second, 1)
	if b.allows(0, limit, second) {
		return true
	}
	b.extras.add(second, -1)
	return false
}

// Allows reports whether [Budget.Take] would count one extra now, if nobody else does.
func (b *Budget) Allows(limit BudgetLimit, now time.Duration) bool {
	return b.allows(1, limit, b.second(now))
}

// allows reports whether the extras that were counted, and more of them, are within the limit.
func (b *Budget) allows(more int64, limit BudgetLimit, second int64) bool {
	allowed := max(limit.Share*float64(b.requests.sum(second)), limit.MinPerSecond*float64(b.age(second)))
	return float64(b.extras.sum(second)+more) <= allowed
}

// Recent is how many requests and extras were counted in the last 10 seconds.
func (b *Budget) Recent(now time.Duration) (requests, extras int) {
	second := int64(now / time.Second)
	return int(b.requests.sum(second)), int(b.extras.sum(second))
}

// second is now in seconds. The first one is kept.
func (b *Budget) second(now time.Duration) int64 {
	second := int64(now / time.Second)
	if b.begun.Load() == 0 {
		b.begun.CompareAndSwap(0, second+1)
	}
	return second
}

// age is for how many seconds the budget has been in use, the current one included, up to the window.
func (b *Budget) age(second int64) int64 {
	return min(second+2-b.begun.Load(), budgetWindow)
}

// slidingCount counts in a slot for each second of the window. A slot packs its second and the count into one word, so that whoever
// comes first in a second can begin it anew without losing what others count meanwhile.
type slidingCount [budgetWindow]atomic.Uint64

func (c *slidingCount) add(second int64, n int32) {
	slot := &c[second%budgetWindow]
	for {
		old := slot.Load()
		var count int32
		switch age := int32(uint32(second) - uint32(old>>32)); {
		case age == 0:
			count = int32(uint32(old))
		case age < 0 || n < 0:
			return // somebody counts in a later second already, where this one is forgotten
		}
		if slot.CompareAndSwap(old, uint64(uint32(second))<<32|uint64(uint32(max(count+n, 0)))) {
			return
		}
	}
}

func (c *slidingCount) sum(second int64) (n int64) {
	for i := range c {
		old := c[i].Load()
		if age := uint32(second) - uint32(old>>32); age < budgetWindow {
			n += int64(uint32(old))
		}
	}
	return n
}
