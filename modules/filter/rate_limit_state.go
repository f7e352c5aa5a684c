package filter

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddylb/caddy-lb/internal/ratelimit"
	"github.com/caddylb/caddy-lb/lb"
)

// rateLimits are all limits that a configuration uses, by definition. A configuration that takes the place of another one finds what its clients
// have used.
var rateLimits = caddy.NewUsagePool()

// rateDefinition is what two limits have to share to be one.
type rateDefinition struct {
	name, key string
	limit     lb.Limit
	sketch    bool
	maxKeys   int
}

// rateState is a limit as long as a configuration uses it.
type rateState struct {
	label   string // in metrics
	local   ratelimit.Limiter
	results tally

	// away says that the shared counters failed the last time they were asked.
	away atomic.Bool

	// unlogged are what a dry run would have refused since the last line in the log, and nextLog is when the next may be written.
	unlogged atomic.Uint64
	nextLog  atomic.Int64
}

// acquire returns the limit, and takes a reference to it.
func (d rateDefinition) acquire() *rateState {
	v, _, _ := rateLimits.LoadOrNew(d, func() (caddy.Destructor, error) {
		return &rateState{label: d.label(), local: d.limiter()}, nil
	})
	return v.(*rateState)
}

func (d rateDefinition) limiter() ratelimit.Limiter {
	switch {
	case d.sketch:
		return ratelimit.NewSketch(d.limit, d.maxKeys)
	case d.limit.Sliding:
		return ratelimit.NewWindow(d.limit, d.maxKeys)
	}
	return ratelimit.NewBucket(d.limit, d.maxKeys)
}

// label is what the limit is called in metrics and logs.
func (d rateDefinition) label() string {
	if d.name != "" {
		return d.name
	}
	return d.key + " " + requestRate{d.limit.Events, d.limit.Window}.String()
}

// shared is what names of shared counters begin with, so that instances share the limits that are equal and no others. It does not depend
// on how each of them keeps its own.
func (d rateDefinition) shared() string {
	digest := sha256.Sum256(fmt.Appendf(nil, "%q %q %+v", d.name, d.key, d.limit))
	return "rate_limit " + hex.EncodeToString(digest[:8]) + " "
}

// Destruct implements [caddy.Destructor].
func (*rateState) Destruct() error { return nil }

// dryLogInterval is how often a dry run may write to the log.
const dryLogInterval = 10 * time.Second

// toLog counts one more that would have been refused, and returns how many a line about them has to tell of; 0 for no line yet.
func (s *rateState) toLog(now time.Duration) uint64 {
	s.unlogged.Add(1)
	next := s.nextLog.Load()
	if int64(now) < next || !s.nextLog.CompareAndSwap(next, int64(now+dryLogInterval)) {
		return 0
	}
	return s.unlogged.Swap(0)
}
