package healthcheck

import (
	"context"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
	"pgregory.net/rapid"
)

// gaps are the times from the start of one check to the start of the next.
func gaps(starts []time.Time) []time.Duration {
	var out []time.Duration
	for i := range len(starts) - 1 {
		out = append(out, starts[i+1].Sub(starts[i]))
	}
	return out
}

func TestJitterStaysWithinItsShare(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		interval := time.Duration(rapid.Int64Range(1, int64(time.Hour)).Draw(t, "interval"))
		share := rapid.Float64Range(0, 1).Draw(t, "share")
		u := rapid.Float64Range(0, 0.999999).Draw(t, "u")
		got := jittered(interval, share, u)
		low := interval - time.Duration(float64(interval)*share)
		high := interval + time.Duration(float64(interval)*share)
		if got < low-1 || got > high+1 {
			t.Fatalf("%s is not within %s and %s", got, low, high)
		}
	})
}

func TestJitterSpreadsEvenly(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	const draws = 10000
	var buckets [10]int
	for range draws {
		d := jittered(time.Second, 0.1, rnd.Float64())
		buckets[int((d-900*time.Millisecond)/(20*time.Millisecond))]++
	}
	for i, n := range buckets {
		if n < draws/10*8/10 || n > draws/10*12/10 {
			t.Errorf("tenth %d of the range got %d of %d draws", i, n, draws)
		}
	}
}

func TestChecksRunAtOnceAndThenEveryInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		f := script(nil)
		start(t, configure(t, f, nil), nil)
		synctest.Wait()
		if f.count() != 1 || !f.times()[0].Equal(begin) {
			t.Fatalf("checks at %v, want one at once", f.times())
		}
		time.Sleep(35 * time.Second)
		for _, gap := range gaps(f.times()) {
			if gap != 10*time.Second {
				t.Errorf("a check came %s after the one before", gap)
			}
		}
		if f.count() != 4 {
			t.Errorf("%d checks in 35 s, want 4", f.count())
		}
	})
}

func TestChecksDriftApartByJitter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := script(nil)
		start(t, configure(t, f, func(c *Config) { c.Jitter = 0.2 }), nil)
		time.Sleep(10 * time.Minute)
		seen := make(map[time.Duration]bool)
		for _, gap := range gaps(f.times()) {
			seen[gap] = true
			if gap < 8*time.Second || gap > 12*time.Second {
				t.Errorf("a check came %s after the one before, want 8s to 12s", gap)
			}
		}
		if len(seen) < 10 {
			t.Errorf("%d different gaps in 10 minutes", len(seen))
		}
	})
}

func TestSlowChecksNeverPileUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{check: func(ctx context.Context, _ int) error {
			select {
			case <-time.After(11 * 50 * time.Millisecond):
			case <-ctx.Done():
			}
			return nil
		}}
		start(t, configure(t, f, func(c *Config) { c.Interval = caddy.Duration(50 * time.Millisecond) }), nil)
		time.Sleep(10 * time.Second)
		if f.overlap() != 1 {
			t.Errorf("%d checks ran at once", f.overlap())
		}
		if f.count() < 10 {
			t.Errorf("only %d checks in 10 s", f.count())
		}
	})
}

func TestIntervalUnhealthyHoldsWhileDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := script(errDown, errDown, errDown, nil)
		start(t, configure(t, f, func(c *Config) { c.IntervalUnhealthy = caddy.Duration(time.Second) }), nil)
		time.Sleep(20 * time.Second)
		want := []time.Duration{time.Second, time.Second, time.Second, 10 * time.Second}
		got := gaps(f.times())
		for i := range want {
			if i >= len(got) || got[i] != want[i] {
				t.Fatalf("gaps %v, want %v", got, want)
			}
		}
	})
}

func TestStuckCheckFailsAndIsNotRepeated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		f := &fake{check: func(_ context.Context, n int) error {
			if n == 0 {
				<-release
			}
			return nil
		}}
		m := start(t, configure(t, f, nil), nil)
		time.Sleep(time.Minute)
		if m.Healthy() || !strings.Contains(m.Status().LastError, "no result within 1s") {
			t.Errorf("healthy %v, last error %q", m.Healthy(), m.Status().LastError)
		}
		if f.count() != 1 {
			t.Errorf("%d checks were begun while the first had not returned", f.count())
		}
		close(release)
		time.Sleep(time.Second)
		if f.count() != 2 || !m.Healthy() {
			t.Errorf("%d checks, healthy %v, once the first had returned", f.count(), m.Healthy())
		}
	})
}

func TestTimeoutReachesTheCheckAndItsReasonIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{check: func(ctx context.Context, _ int) error {
			<-ctx.Done()
			return errDown
		}}
		m := start(t, configure(t, f, nil), nil)
		time.Sleep(2 * time.Second)
		if got := m.Status().Reason; !strings.Contains(got, "no result within 1s") || !strings.Contains(got, errDown.Error()) {
			t.Errorf("reason %q", got)
		}
	})
}

func TestLatePassIsAFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{check: func(context.Context, int) error {
			time.Sleep(time.Second + time.Millisecond)
			return nil
		}}
		m := start(t, configure(t, f, nil), nil)
		time.Sleep(2 * time.Second)
		if m.Healthy() {
			t.Error("a pass after the timeout was counted as one")
		}
	})
}

func TestPanicIsAFailedCheck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		core, logs := observer.New(zap.ErrorLevel)
		c := configure(t, &fake{check: func(context.Context, int) error { panic("oh no") }}, nil)
		c.logger = zap.New(core)
		m := start(t, c, nil)
		synctest.Wait()
		if m.Healthy() || !strings.Contains(m.Status().Reason, "oh no") {
			t.Errorf("healthy %v, reason %q", m.Healthy(), m.Status().Reason)
		}
		entries := logs.FilterField(zap.String("backend", m.Target().Backend.String())).All()
		if len(entries) != 1 || !strings.Contains(entries[0].ContextMap()["stack"].(string), "schedule_test.go") {
			t.Errorf("log %v", entries)
		}
	})
}

func TestCheckNowIsCoalesced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := script(nil)
		m := start(t, configure(t, f, nil), nil)
		synctest.Wait()
		time.Sleep(3 * time.Second)
		for range 5 {
			m.CheckNow()
		}
		synctest.Wait()
		if n := f.count(); n < 2 || n > 3 {
			t.Errorf("%d checks after five requests, want 2 or 3", n)
		}
		n := f.count()
		time.Sleep(11 * time.Second)
		if got := f.count(); got != n+1 {
			t.Errorf("%d checks in the interval after, want 1", got-n)
		}
	})
}
