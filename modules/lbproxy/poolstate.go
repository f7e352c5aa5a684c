package lbproxy

import (
	"sync"
	"sync/atomic"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddylb/caddy-lb/lb"
)

// poolStates holds what pools know of their requests as a whole, so that a reload finds it again, by pool name.
var poolStates = caddy.NewUsagePool()

// poolState is what a pool knows of its requests as a whole. Configurations of the pool that are alive at once share it. Safe for
// concurrent use.
type poolState struct {
	queue    lb.Queue
	active   atomic.Int64 // requests under way, counted when they are limited
	retrying atomic.Int64 // retries under way, counted when they are limited
	shed     [numShedReasons]atomic.Uint64

	retries lb.Budget        // of handlers with a retry_budget
	hedges  lb.Budget        // of handlers that hedge
	latency lb.RecentLatency // until an answer's header, of handlers that hedge by percentile

	retried  atomic.Uint64
	denied   [numDenials]atomic.Uint64 // retries that were not made
	hedged   [numHedgeResults]atomic.Uint64
	mirrored [numMirrorResults]atomic.Uint64 // copies sent to this pool

	teller  atomic.Pointer[pool] // tells operators of changes; nil before it began
	telling sync.Mutex           // held while that is done
	tiers   map[int]toldTier     // by priority; guarded by telling
	noted   map[[32]byte]bool    // hashes of what noteModules told; guarded by telling

	refusals refusals
}

// acquirePoolState takes a reference to the state of a pool, making it when nobody has one. Each call is followed by
// one releasePoolState.
func acquirePoolState(pool string) *poolState {
	v, _ := poolStates.LoadOrStore(pool, new(poolState))
	return v.(*poolState)
}

func releasePoolState(pool string) { _, _ = poolStates.Delete(pool) }
