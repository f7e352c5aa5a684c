package client

import (
	"context"
	"sync"
	"time"
)

// Send sends one request, or does what else counts as one.
type Send func(seq int) Answer

// Answer is what came of a request.
type Answer struct {
	Status  int    // 0 without an answer
	Backend string // by index
	Outcome Outcome
	Written time.Time // when the whole request had been handed to the kernel, if that is known
}

// Run is a load and what came of it. Its methods are safe for concurrent use.
type Run struct {
	start  time.Time
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu      sync.Mutex
	samples Samples
}

// Open sends requests at a fixed rate, each at its time, whether or not earlier ones have been answered.
func Open(ctx context.Context, rate float64, send Send) *Run {
	ctx, cancel := context.WithCancel(ctx)
	r := &Run{start: time.Now(), cancel: cancel}
	r.wg.Go(func() {
		for seq := 0; ; seq++ {
			due := time.Duration(float64(seq) / rate * float64(time.Second))
			if !wait(ctx, due-r.Now()) {
				return
			}
			r.wg.Go(func() { r.one(seq, due, send) })
		}
	})
	return r
}

// Closed has n clients, each of which sends its next request a while after it got an answer.
func Closed(ctx context.Context, n int, pause time.Duration, client func(i int) Send) *Run {
	ctx, cancel := context.WithCancel(ctx)
	r := &Run{start: time.Now(), cancel: cancel}
	for i := range n {
		r.wg.Go(func() {
			send := client(i)
			// Clients that start at once would stay together.
			if !wait(ctx, pause*time.Duration(i)/time.Duration(n)) {
				return
			}
			for seq := 0; ctx.Err() == nil; seq++ {
				r.one(seq, r.Now(), send)
				wait(ctx, pause)
			}
		})
	}
	return r
}

func wait(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

func (r *Run) one(seq int, due time.Duration, send Send) {
	s := Sample{Seq: seq, Due: due, Sent: r.Now()}
	a := send(seq)
	s.Status, s.Backend, s.Outcome, s.Written, s.End = a.Status, a.Backend, a.Outcome, a.Written.Sub(r.start), r.Now()
	r.mu.Lock()
	r.samples = append(r.samples, s)
	r.mu.Unlock()
}

// Now is the time since the run started.
func (r *Run) Now() time.Duration { return time.Since(r.start) }

// Stop sends no further requests, waits for those under way, and returns all.
func (r *Run) Stop() Samples {
	r.cancel()
	r.wg.Wait()
	return r.samples
}
