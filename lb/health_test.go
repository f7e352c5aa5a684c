package lb_test

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/caddylb/caddy-lb/lb"
)

func TestHealthFlips(t *testing.T) {
	for _, c := range []struct {
		name       string
		start      bool
		results    string // P and F
		rise, fall int
		states     string // state after each result, U and D
	}{
		{"down at the first failure", true, "F", 1, 1, "D"},
		{"thresholds below 1 count as 1", true, "FP", 0, 0, "DU"},
		{"down after three in a row", true, "FFF", 1, 3, "UUD"},
		{"alternating never flips", true, "FPFPFPFP", 1, 2, "UUUUUUUU"},
		{"a pass clears the failures", true, "FFPFFPFFF", 1, 3, "UUUUUUUUD"},
		{"up after two in a row", false, "PFPP", 2, 1, "DDDU"},
		{"down and up again", true, "FFPP", 2, 2, "UDDU"},
	} {
		h := lb.Health{Up: c.start}
		for i, r := range c.results {
			before := h.Up
			flipped := h.Observe(r == 'P', c.rise, c.fall)
			if want := c.states[i] == 'U'; h.Up != want || flipped != (before != h.Up) {
				t.Errorf("%s: after result %d up is %v (flipped %v), want %v", c.name, i+1, h.Up, flipped, want)
			}
		}
	}
}

// The state is that of the last run of results that was long enough.
func TestHealthFollowsTheLastLongRun(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rise, fall := rapid.IntRange(1, 4).Draw(t, "rise"), rapid.IntRange(1, 4).Draw(t, "fall")
		h, want := lb.Health{Up: true}, true
		run, last := 0, true
		for _, pass := range rapid.SliceOf(rapid.Bool()).Draw(t, "results") {
			if pass != last {
				run = 0
			}
			run, last = run+1, pass
			if (pass && run >= rise) || (!pass && run >= fall) {
				want = pass
			}
			h.Observe(pass, rise, fall)
			if h.Up != want {
				t.Fatalf("up is %v after a run of %d times %v, want %v", h.Up, run, pass, want)
			}
		}
	})
}
