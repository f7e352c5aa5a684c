package lbproxy

import (
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync"
)

// gcHeadroom is how much can be allocated from one garbage collection to the next, at the least. A proxy keeps little and
// allocates much: with Go's default, which lets the heap double, it would collect its few megabytes dozens of times each
// second.
const gcHeadroom = 32 << 20

// gcPace keeps the heap's growth at gcHeadroom or more by setting the collector's percentage after each collection. It is
// process-wide. A memory limit (GOMEMLIMIT, or the one that Caddy takes from its container) goes before it.
type gcPace struct {
	sample  [1]metrics.Sample
	percent int // as last set
}

var startGCPace = sync.OnceFunc(func() {
	if os.Getenv("GOGC") != "" {
		return // somebody chose
	}
	p := &gcPace{percent: 100}
	p.sample[0].Name = "/gc/heap/live:bytes"
	p.adjust()
	p.onNextCollection()
})

// onNextCollection has the pace adjusted when the next collection is over: the collector then finalizes what nobody
// holds.
func (p *gcPace) onNextCollection() {
	type canary struct{ _ *int }
	runtime.SetFinalizer(new(canary), func(*canary) {
		if p.adjust() {
			p.onNextCollection()
		}
	})
}

// adjust sets the percentage for what is alive now. It reports false when somebody else has set another one, which then
// holds.
func (p *gcPace) adjust() bool {
	metrics.Read(p.sample[:])
	live := max(p.sample[0].Value.Uint64(), 1<<20)
	percent := max(100, int(gcHeadroom*100/live))
	if was := p.percent; percent < was || percent > was+was/8 {
		p.percent = percent
		if other := debug.SetGCPercent(percent); other != was {
			debug.SetGCPercent(other)
			return false
		}
	}
	return true
}
