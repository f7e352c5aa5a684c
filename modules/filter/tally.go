package filter

import (
	"math/rand/v2"
	"sync/atomic"
)

// result is what became of a request at a limit.
type result uint8

const (
	allowed result = iota
	refused
	dryRun        // it would have been refused
	localFallback // the shared counters were away and this instance decided, besides one of the others
	numResults
)

// String is the label in metrics.
func (r result) String() string {
	return [numResults]string{"allowed", "refused", "dry_run", "local_fallback"}[r]
}

// tally counts results. It has several counts of each, so that processors do not wait for each other's cache lines.
type tally struct {
	stripes [16]struct {
		n [numResults]atomic.Uint64
		_ [32]byte
	}
}

func (t *tally) add(r result) { t.stripes[rand.Uint32()%uint32(len(t.stripes))].n[r].Add(1) }

func (t *tally) get(r result) (n uint64) {
	for i := range t.stripes {
		n += t.stripes[i].n[r].Load()
	}
	return n
}
