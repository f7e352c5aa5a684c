package lb

import (
	"context"
	"time"
)

// SharedCounters count for all instances that share them, as for a rate limit that holds across a cluster. All methods are safe for
// concurrent use.
type SharedCounters interface {
	// Take asks for a place under a limit. An error says that nobody could be asked in time, and that whoever asks has to decide by
	// itself; it comes within the time that the counters are configured with, and at once while they are known to be away.
	Take(ctx context.Context, key string, limit Limit) (Taken, error)
}

// Limit is how often something may happen.
type Limit struct {
	// Events may happen in each Window.
	Events int64
	Window time.Duration

	// Burst is how many may happen at once after a rest. With Sliding it has no meaning.
	Burst int64

	// Sliding counts those of the last Window, so that there are never more than Events in any. Without it, places come back at an even
	// pace up to Burst, as tokens into a bucket.
	Sliding bool
}

// Taken is the answer to [SharedCounters.Take].
type Taken struct {
	// Allowed says that it may happen, and counts.
	Allowed bool

	// Remaining is how often it may happen at once after this.
	Remaining int64

	// RetryAfter is when it may happen again; 0 when it was allowed.
	RetryAfter time.Duration

	// Reset is when all places are free again, if nothing happens until then.
	Reset time.Duration
}

// Override is what an operator decided about a backend of a pool.
type Override struct {
	// Pool is empty for backends that handlers name themselves: one that several of them name is one backend.
	Pool    string
	Backend string // as in the admin API

	// Drained and Weight are nil where the configuration decides.
	Drained *bool
	Weight  *int

	// Configured is the weight that Weight was set against. Where another one is configured, that holds; see [WeightOverride].
	Configured int
}

// SharedOverrides are the decisions of operators for all instances that share them. All methods are safe for concurrent use.
type SharedOverrides interface {
	// Publish tells the others. When they cannot be told now, they are as soon as that is possible; the error says why not now.
	Publish(ctx context.Context, o Override) error

	// Subscribe has apply called for what others publish, and for all that holds, from now until the returned function is called.
	Subscribe(apply func(Override)) (cancel func())
}
