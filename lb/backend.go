package lb

import (
	"sync/atomic"
	"time"
)

// Backend is one server and everything known about it that outlives a configuration: requests under
// way, latency, operator's orders. One Backend is shared by every pool and every configuration that names it, so a reload,
// a new weight or another order of the list finds its state again.
//
// All methods are safe for concurrent use.
type Backend struct {
	address  Address
	hostPort string
	since    time.Time
	number   uint64 // among all backends, from 1

	active  atomic.Int64
	latency Latency
	limit   AdaptiveLimit
	queues  waitingQueues

	established atomic.Bool  // some pool has published it
	inSince     atomic.Int64 // when it came into service, on the clock of Monotonic; 0: it has been there from the start
	lastSticky  atomic.Int64 // when a drained backend was last given a request

	drained  atomic.Pointer[drain]
	override atomic.Pointer[WeightOverride]
}

// WeightOverride is a weight set by an operator at run time. It stands until the configured weight is changed
// from the one it was set against, so that an edited configuration wins over an older order.
type WeightOverride struct {
	Configured int
	Weight     int
}

// numBackends counts the backends made.
var numBackends atomic.Uint64

// NewBackend returns the state of a server that nothing is known about yet.
func NewBackend(address Address, now time.Time) *Backend {
	return &Backend{address: address, hostPort: address.Dial(), since: now, number: numBackends.Add(1)}
}

// Address is where the backend listens.
func (b *Backend) Address() Address { return b.address }

// HostPort is [Address.Dial] of the address, put together once.
func (b *Backend) HostPort() string { return b.hostPort }

// Since is when the backend became known to this process.
func (b *Backend) Since() time.Time { return b.since }

// Active is the number of requests the backend is serving now, over all pools.
func (b *Backend) Active() int { return int(b.active.Load()) }

// Latency is the running average of the time to first byte.
func (b *Backend) Latency() *Latency { return &b.latency }

// AdaptiveLimit is what the backend has shown to cope with; see [Adaptive].
func (b *Backend) AdaptiveLimit() *AdaptiveLimit { return &b.limit }

// NoteSticky notes that a client which belongs to the backend was served by it while it was out of rotation.
func (b *Backend) NoteSticky(now time.Duration) { b.lastSticky.Store(int64(max(now, 1))) }

// LastSticky is when that was last, on the clock of [Monotonic]; 0 if never.
func (b *Backend) LastSticky() time.Duration { return time.Duration(b.lastSticky.Load()) }

// drain is an operator's order to take a backend out of selection, or back in.
type drain struct {
	on    bool
	since time.Time
}

// Drained reports whether an operator took the backend out of selection.
func (b *Backend) Drained() bool {
	d := b.drained.Load()
	return d != nil && d.on
}

// DrainedSince is when the backend was last drained or put back; the zero time if it never was.
func (b *Backend) DrainedSince() time.Time {
	if d := b.drained.Load(); d != nil {
		return d.since
	}
	return time.Time{}
}

// SetDrained takes the backend out of selection, or back in. Requests under way are not touched. The caller
// refreshes the pools that hold the backend.
func (b *Backend) SetDrained(drained bool, now time.Time) {
	if b.Drained() != drained {
		b.drained.Store(&drain{on: drained, since: now})
	}
}

// SetWeight overrides the configured weight, until another weight is configured, and returns the override that
// held before, nil for none. The caller refreshes the pools that hold the backend.
func (b *Backend) SetWeight(configured, weight int) (before *WeightOverride) {
	return b.override.Swap(&WeightOverride{Configured: configured, Weight: weight})
}

// RestoreWeight sets the override back to what SetWeight returned.
func (b *Backend) RestoreWeight(before *WeightOverride) { b.override.Store(before) }

// WeightOverride is the override that SetWeight set last, nil for none.
func (b *Backend) WeightOverride() *WeightOverride { return b.override.Load() }

// Weight is the weight that holds, given the configured one.
func (b *Backend) Weight(configured int) int {
	if o := b.override.Load(); o != nil && o.Configured == configured {
		return o.Weight
	}
	return configured
}
