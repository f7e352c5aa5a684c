package lbproxy

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"testing"
)

// gcPercent is the collector's percentage.
func gcPercent() int {
	p := debug.SetGCPercent(100)
	debug.SetGCPercent(p)
	return p
}

func TestGCPace(t *testing.T) {
	before := gcPercent()
	defer debug.SetGCPercent(before)
	debug.SetGCPercent(100)

	p := &gcPace{percent: 100}
	p.sample[0] = metrics.Sample{Name: "/gc/heap/live:bytes"}
	runtime.GC()
	if !p.adjust() {
		t.Fatal("the pace gave up, but nobody else set it")
	}
	small := gcPercent()
	if small <= 100 {
		t.Errorf("the percentage is %d with a heap that is small, want more than 100", small)
	}

	large := make([]byte, 4*gcHeadroom)
	runtime.GC()
	p.adjust()
	if got := gcPercent(); got != 100 {
		t.Errorf("the percentage is %d with a heap that is large, want 100", got)
	}
	runtime.KeepAlive(large)

	debug.SetGCPercent(77)
	runtime.GC() // large is gone
	if p.adjust() || gcPercent() != 77 {
		t.Errorf("the percentage is %d, want 77 as somebody set it", gcPercent())
	}
}
