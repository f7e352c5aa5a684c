package cluster

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/caddylb/caddy-lb/lb"
)

// grains is into how many parts a sliding window is divided when it allows more events than that, so that what Redis keeps of a key is
// bounded. An event counts for at most one part longer than it has to, which costs a steady flow less than 1/256 of its limit.
const grains = 128

// maxSpan bounds the times of a limit, and of answers.
const maxSpan = 366 * 24 * time.Hour

// take implements [lb.SharedCounters].
func (c *client) take(ctx context.Context, key string, limit lb.Limit) (lb.Taken, error) {
	if limit.Events < 1 || limit.Window < time.Millisecond || limit.Window > maxSpan {
		return lb.Taken{}, fmt.Errorf("a limit of %d events in %s cannot be shared: there has to be one event or more, in 1ms to %s",
			limit.Events, limit.Window, maxSpan)
	}
	s, err := c.connected()
	if err != nil {
		return lb.Taken{}, err
	}
	reply, err := c.doIn(ctx, s, c.limitCall(key, limit))
	if err != nil {
		return lb.Taken{}, err
	}
	taken, err := parseTaken(reply, limit)
	if err != nil {
		c.failures.count(causeProtocol)
	}
	return taken, err
}

// limitCall makes the call that takes one place.
func (c *client) limitCall(key string, limit lb.Limit) *call {
	window := limit.Window.Microseconds()
	if !limit.Sliding {
		return evaluate(bucketScript, c.key("b", key), limit.Events, window, max(limit.Burst, 1))
	}
	var grain int64
	if limit.Events > grains {
		grain = max(window/grains, 1)
	}
	return evaluate(slidingScript, c.key("w", key), limit.Events, window, grain)
}

// key names a counter. What callers count by may be long and anyone's, so it is hashed, with a hash for which nobody finds two keys that
// share a counter.
func (c *client) key(kind, key string) string {
	digest := sha256.Sum256([]byte(key))
	var name [maxPrefix + 64]byte
	b := append(name[:0], c.target.prefix...)
	b = append(b, ':')
	b = append(b, kind...)
	b = append(b, ':')
	return string(hex.AppendEncode(b, digest[:16]))
}

var errTaken = errors.New("the answer is not one to a limit")

// parseTaken reads the answer of a script, which is as trustworthy as Redis is.
func parseTaken(reply any, limit lb.Limit) (lb.Taken, error) {
	values, ok := reply.([]any)
	if !ok || len(values) != 4 {
		return lb.Taken{}, errTaken
	}
	var n [4]int64
	for i, v := range values {
		if n[i], ok = v.(int64); !ok {
			return lb.Taken{}, errTaken
		}
	}
	return lb.Taken{
		Allowed:    n[0] == 1,
		Remaining:  min(max(n[1], 0), max(limit.Events, limit.Burst)),
		RetryAfter: span(n[2]),
		Reset:      span(n[3]),
	}, nil
}

// span is a number of microseconds from outside.
func span(micros int64) time.Duration {
	return time.Duration(min(max(micros, 0), maxSpan.Microseconds())) * time.Microsecond
}
