// Package ratelimit counts how often something happens for each of millions of keys, in bounded memory, and says whether it may happen
// once more. It knows neither Caddy nor HTTP, and no clock: callers say what time it is.
package ratelimit

import (
	"errors"
	"fmt"
	"hash/maphash"
	"math/bits"
	"time"

	"github.com/caddylb/caddy-lb/lb"
)

// Limiter holds one limit for each key. All methods are safe for concurrent use.
type Limiter interface {
	// Take asks for a place under the key's limit. now is on a clock that never goes back, such as lb.Monotonic.
	Take(key string, now time.Duration) lb.Taken

	// Evicted is how many keys were forgotten before their limit was free again, since there was no place for them.
	Evicted() uint64
}

// The bounds of a limit, which shared counters have, too. Shorter paces than minPace could not be told from each other in whole
// nanoseconds.
const (
	minPace   = 100 * time.Nanosecond
	minWindow = time.Millisecond
	maxWindow = 366 * 24 * time.Hour
	maxCount  = 1_000_000_000
)

// Valid says what is wrong with a limit. Burst has to be 1 or more unless it is Sliding.
func Valid(l lb.Limit) error {
	switch {
	case l.Events < 1:
		return fmt.Errorf("it allows %d requests: the least is 1", l.Events)
	case l.Window <= 0:
		return errors.New("its time is not above 0: write 10/s, 100/m or 5/10s for example")
	case l.Window < minWindow || l.Window > maxWindow:
		return fmt.Errorf("its time is %s: it can be from 1ms to 366d", l.Window)
	case l.Events > maxCount || l.Window/time.Duration(l.Events) < minPace:
		return errors.New("it is too fast to be counted: the most is 10000000/s, and 1000000000 requests in any time")
	case l.Sliding:
		return nil
	case l.Burst < 1 || l.Burst > maxCount:
		return fmt.Errorf("the burst is %d: it is what may come at once, from 1 to 1000000000", l.Burst)
	case float64(l.Burst)*float64(l.Window)/float64(l.Events) > float64(maxWindow):
		return fmt.Errorf("a burst of %d takes more than a year to come back at this rate: write a smaller one", l.Burst)
	}
	return nil
}

// seed makes the places of keys different in each process, so that nobody can look for keys that share one.
var seed = maphash.MakeSeed()

// hashOf is what a key is known by: 64 bits, never 0. With a million keys the odds that one of them shares the hash of another, and thus its
// limit, are 1 in 37 million.
func hashOf(key string) uint64 { return max(maphash.String(seed, key), 1) }

// shardsFor divides a number of entries into a power of two of shards, 256 at most, of at least atLeast entries.
func shardsFor(entries, atLeast int) (shards int, shift uint) {
	shards, shift = 1, 64
	for shards < 256 && entries/(shards*2) >= atLeast {
		shards *= 2
		shift--
	}
	return shards, shift
}

// ceilDiv is a/b rounded up, for a >= 0 and b > 0.
func ceilDiv(a, b int64) int64 {
	q := a / b
	if a%b != 0 {
		q++
	}
	return q
}

// roundUp is the next multiple of a step.
func roundUp(n, step int) int { return (n + step - 1) / step * step }

// scale is a*b/c rounded down, where the product may have 128 bits and the result has 63. None is negative.
func scale(a, b, c int64) int64 {
	high, low := bits.Mul64(uint64(a), uint64(b))
	q, _ := bits.Div64(high, low, uint64(c))
	return int64(q)
}
