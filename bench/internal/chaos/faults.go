package chaos

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/caddylb/caddy-lb/bench/internal/chaos/client"
	"github.com/caddylb/caddy-lb/bench/internal/chaos/fleet"
	"github.com/caddylb/caddy-lb/bench/internal/chaos/proxy"
)

var faultsScenario = Scenario{
	Name: "faults",
	About: "Ten backends that answer in 5 ms, 500 requests a second. At once, one is killed, one hangs, one answers 500 at once, one takes ten " +
		"times as long, one resets connections in the middle of the answer, and one is there and away every other second. Health checks " +
		"of those that fail, are slow, or reset still pass. After 18 s all are well again. The first 3 s are *detection*.",
	run: runFaults,
}

// What befalls which of the ten backends.
const (
	killed = iota
	hanging
	failing
	slowed
	resetting
	flapping
)

var faultNames = [...]string{
	killed: "killed", hanging: "hanging", failing: "failing", slowed: "slow", resetting: "resetting", flapping: "flapping",
}

// faultsRun is the phases of one run, as times since the load started.
type faultsRun struct {
	broken, detected, restored time.Duration
	tries                      []int64 // that each backend got after detection
	recovery                   time.Duration
	last                       string   // that had its share again
	late                       []string // those that had it not
}

func runFaults(ctx context.Context, b *Bed, p proxy.Peer) ([]Figure, error) {
	const rate, timeout = 500, 10 * time.Second
	s, err := b.open(ctx, p, 10, fleet.Options{Service: 5 * time.Millisecond, Slower: 10}, &proxy.Setup{Config: proxy.Service})
	if err != nil {
		return nil, err
	}
	defer s.close()
	h1 := &client.H1{Addr: s.Addr(), Timeout: timeout}
	defer h1.Close()
	// What has never been done before takes longer the first time.
	warm := client.Open(ctx, rate, client.Get(h1, "/"))
	if err := proxy.Pause(ctx, times(b, 2*time.Second, 500*time.Millisecond)); err != nil {
		return nil, err
	}
	warm.Stop()
	load := client.Open(ctx, rate, client.Get(h1, "/"))
	defer load.Stop()
	run, err := faultPhases(ctx, b, s.fleet, load)
	if err != nil {
		return nil, err
	}
	return run.figures(load.Stop(), b), nil
}

// faultPhases breaks the backends and mends them.
func faultPhases(ctx context.Context, b *Bed, f fleet.Fleet, load *client.Run) (*faultsRun, error) {
	run := &faultsRun{}
	if err := proxy.Pause(ctx, times(b, 8*time.Second, time.Second)); err != nil {
		return nil, err
	}
	run.broken = load.Now()
	mend := breakAll(ctx, f)
	if err := proxy.Pause(ctx, times(b, 3*time.Second, 2*time.Second)); err != nil {
		return nil, err
	}
	run.detected = load.Now()
	from := f.Counts()
	if err := proxy.Pause(ctx, times(b, 15*time.Second, 2*time.Second)); err != nil {
		return nil, err
	}
	for i, to := range f.Counts() {
		run.tries = append(run.tries, since(from[i], to).Requests)
	}
	run.restored = load.Now()
	if err := mend(); err != nil {
		return nil, err
	}
	if b.Short {
		return run, nil
	}
	err := run.recover(ctx, f, load)
	return run, err
}

// breakAll gives each fault to its backend, and returns what mends them.
func breakAll(ctx context.Context, f fleet.Fleet) (mend func() error) {
	f[killed].Kill()
	f[hanging].Break(fleet.Hang)
	f[failing].Break(fleet.Fail)
	f[slowed].Break(fleet.Slow)
	f[resetting].Break(fleet.Reset)
	ctx, cancel := context.WithCancel(ctx)
	flapped := make(chan error, 1)
	go func() { flapped <- flap(ctx, f[flapping]) }()
	return func() error {
		cancel()
		if err := <-flapped; err != nil {
			return err
		}
		for _, b := range f {
			b.Break(fleet.None)
		}
		return f[killed].Restart()
	}
}

// flap has a backend be away for a second and there for one, until ctx ends; then it is there.
func flap(ctx context.Context, b *fleet.Backend) error {
	for {
		b.Kill()
		_ = proxy.Pause(ctx, time.Second)
		if err := b.Restart(); err != nil {
			return err
		}
		if proxy.Pause(ctx, time.Second) != nil {
			return nil
		}
	}
}

// recover waits until each of the broken backends has had, within a second, half or more of an equal share.
func (run *faultsRun) recover(ctx context.Context, f fleet.Fleet, load *client.Run) error {
	const step, window, atLeast, longest = 250 * time.Millisecond, 4, 10 * time.Second, 90 * time.Second
	history := [][]fleet.Counts{f.Counts()}
	run.late = slices.Clone(faultNames[:])
	for at := time.Duration(0); at < atLeast || len(run.late) > 0 && at < longest; at = load.Now() - run.restored {
		if err := proxy.Pause(ctx, step); err != nil {
			return err
		}
		history = append(history, f.Counts())
		if len(history) <= window {
			continue
		}
		shares := shares(history[len(history)-1-window], history[len(history)-1])
		for i, name := range faultNames {
			if k := slices.Index(run.late, name); k >= 0 && shares[i] >= 0.5 {
				run.late = slices.Delete(run.late, k, k+1)
				run.recovery, run.last = load.Now()-run.restored, name
			}
		}
	}
	return nil
}

func (run *faultsRun) figures(all client.Samples, b *Bed) []Figure {
	healthy, detection := all.EndedBefore(run.broken), all.Between(0, run.detected).EndedSince(run.broken)
	after, restored := all.Between(run.detected, run.restored), all.Between(run.restored, time.Hour)
	others := func(s client.Samples) client.Samples {
		return s.With(client.Status, client.Stale, client.Cut, client.Refused, client.Timeout)
	}
	before, later := healthy.Quantile(0.99), after.Quantile(0.99)
	figures := []Figure{
		count("requests", len(all)),
		sentLate(all),
		failures("failed while healthy", healthy).atMost(0, 0),
		failures("failed in detection, other than begun bodies", others(detection)).atMost(0, 0),
		failures("failed after detection, other than begun bodies", others(after)).atMost(0, 0),
		failures("failed after all were well, other than begun bodies", others(restored)).atMost(0, 0),
		count("begun bodies broken in detection", len(detection.With(client.Broken))),
		count("begun bodies broken after", len(after.With(client.Broken))+len(restored.With(client.Broken))),
		millis("p50 healthy", healthy.Quantile(0.5)),
		millis("p99 healthy", before),
		millis("p99 in detection", detection.Quantile(0.99)),
		millis("p50 after detection", after.Quantile(0.5)),
		millis("p99 after detection", later),
		ratio("p99 after detection / p99 healthy", float64(later), float64(before)).atMost(2, 10),
		run.share("tries that went to the fast-failing backend after detection", failing).atMost(1, 3),
		run.share("tries that went to the slow backend after detection", slowed),
		run.share("tries that went to the resetting backend after detection", resetting),
		ratio("tries for a request after detection", float64(run.sum()), float64(len(after))),
	}
	if b.Short {
		return figures
	}
	recovery := seconds("until each had half of an equal share again", run.recovery)
	recovery.Note = "the last: " + run.last
	if len(run.late) > 0 {
		recovery.Note = "not within 90 s: " + strings.Join(run.late, ", ")
	}
	return append(figures, recovery)
}

// share is how much of all tries after detection one backend got.
func (run *faultsRun) share(name string, backend int) Figure {
	if len(run.tries) == 0 {
		return percent(name, 0, 0)
	}
	return percent(name, float64(run.tries[backend]), float64(run.sum()))
}

func (run *faultsRun) sum() int64 {
	var n int64
	for _, t := range run.tries {
		n += t
	}
	return n
}

// shares is what each backend got between two counts, 1 being what all would get if they got the same.
func shares(from, to []fleet.Counts) []float64 {
	list := make([]float64, len(from))
	var total float64
	for i := range from {
		list[i] = float64(to[i].Requests - from[i].Requests)
		total += list[i]
	}
	for i := range list {
		list[i] *= float64(len(list)) / max(total, 1)
	}
	return list
}

func since(from, to fleet.Counts) fleet.Counts {
	return fleet.Counts{Requests: to.Requests - from.Requests, Conns: to.Conns - from.Conns}
}
