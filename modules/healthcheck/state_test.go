package healthcheck

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
	"pgregory.net/rapid"
)

// results turns "PFFP" into what a fake returns.
func results(s string) []error {
	var out []error
	for _, r := range s {
		if r == 'P' {
			out = append(out, nil)
		} else {
			out = append(out, errDown)
		}
	}
	return out
}

func TestThresholdsAreConsecutive(t *testing.T) {
	for _, tc := range []struct {
		name       string
		rise, fall int
		results    string
		changes    []bool
	}{
		{"one failure", 1, 1, "PPF", []bool{false}},
		{"a pass clears the failures", 1, 2, "FPFPFPFPFPFPP", nil},
		{"two in a row", 1, 2, "FPFFP", []bool{false, true}},
		{"a failure clears the passes", 3, 1, "FPFPFPPFPP", []bool{false}},
		{"three passes in a row", 3, 1, "FPPFPPPF", []bool{false, true, false}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var changes []bool
				c := configure(t, script(results(tc.results)...), func(c *Config) {
					c.ConsecutiveSuccess, c.ConsecutiveFailure = tc.rise, tc.fall
				})
				m := start(t, c, &Subscription{OnChange: func(ch Change) {
					changes = append(changes, ch.Healthy)
				}})
				time.Sleep(time.Duration(len(tc.results)-1)*10*time.Second + time.Second)
				synctest.Wait()
				if !slices.Equal(changes, tc.changes) {
					t.Errorf("changes %v, want %v", changes, tc.changes)
				}
				s := m.Status()
				if int(s.Passes+s.Failures) != len(tc.results) {
					t.Errorf("%d passes and %d failures of %s", s.Passes, s.Failures, tc.results)
				}
			})
		})
	}
}

// A state flips only after as many equal results in a row as were asked for, and not later.
func TestThresholdProperty(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		rise := rapid.IntRange(1, 4).Draw(rt, "rise")
		fall := rapid.IntRange(1, 4).Draw(rt, "fall")
		seq := rapid.SliceOfN(rapid.Bool(), 1, 40).Draw(rt, "results")
		c := configure(t, script(nil), func(c *Config) {
			c.ConsecutiveSuccess, c.ConsecutiveFailure = rise, fall
		})
		m := newMonitor(identity{}, c, target("property"), time.Time{})
		for i, pass := range seq {
			before := m.Healthy()
			o := &outcome{err: errDown}
			if pass {
				o.err = nil
			}
			m.record(o, 0)
			need := fall
			if pass {
				need = rise
			}
			run := 0 // results like this one, since the last flip
			for j := i; j >= 0 && seq[j] == pass && run < need; j-- {
				run++
			}
			wantFlip := pass != before && run >= need
			if o.flipped != wantFlip || m.Healthy() != (before != wantFlip) {
				rt.Fatalf("result %d of %v: flipped %v, want %v", i, seq, o.flipped, wantFlip)
			}
			if o.flipped && o.streak != need {
				rt.Fatalf("flipped after %d, want %d", o.streak, need)
			}
		}
	})
}

func TestInitialState(t *testing.T) {
	for _, tc := range []struct {
		initial           string
		results           string
		before, after     bool
		changes, confirms int
	}{
		{InitialHealthy, "P", true, true, 0, 0},
		{InitialHealthy, "F", true, true, 0, 0}, // two failures are needed
		{InitialUnhealthy, "P", false, false, 0, 0},
		{InitialUnhealthy, "PP", false, true, 1, 0},
		{InitialUnhealthy, "F", false, false, 0, 1},
		{InitialCheck, "P", false, true, 1, 0},
		{InitialCheck, "F", false, false, 0, 1},
		{InitialCheck, "PFP", false, true, 1, 0},
	} {
		t.Run(tc.initial+tc.results, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := configure(t, script(results(tc.results)...), func(c *Config) {
					c.Initial, c.ConsecutiveSuccess, c.ConsecutiveFailure = tc.initial, 2, 2
				})
				changes, confirms := 0, 0
				s := &Subscription{Config: c, OnChange: func(Change) { changes++ }, OnConfirm: func() { confirms++ }}
				m := Acquire(c, target(t.Name()))
				defer m.Release(s)
				if m.Healthy() != tc.before {
					t.Errorf("healthy %v before the first result", m.Healthy())
				}
				select {
				case <-m.FirstResult():
					t.Error("a first result before the first check")
				default:
				}
				m.Attach(s)
				<-m.FirstResult()
				time.Sleep(time.Duration(len(tc.results)-1)*10*time.Second + time.Second)
				synctest.Wait()
				if m.Healthy() != tc.after || changes != tc.changes || confirms != tc.confirms {
					t.Errorf("healthy %v, %d changes, %d confirmed; want %v, %d, %d",
						m.Healthy(), changes, confirms, tc.after, tc.changes, tc.confirms)
				}
			})
		})
	}
}

// choosy is a Checker with thresholds of its own that wants to know.
type choosy struct {
	*fake
	rise, fall int
	heard      []string
}

func (c *choosy) HealthThreshold(_ Target, pass bool) int {
	if pass {
		return c.rise
	}
	return c.fall
}

func (c *choosy) HealthChanged(t Target, healthy bool, reason error) {
	c.heard = append(c.heard, fmt.Sprint(t.Backend.Port, healthy, reason))
}

func TestCheckerDecidesThresholdsAndHearsOfChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &choosy{fake: script(results("FFPPPF")...), fall: 2} // 0 leaves it to consecutive_success
		start(t, configure(t, c, func(c *Config) { c.ConsecutiveSuccess = 3; c.ConsecutiveFailure = 5 }), nil)
		time.Sleep(45 * time.Second)
		synctest.Wait()
		if want := []string{"80false down", "80true <nil>"}; !slices.Equal(c.heard, want) {
			t.Errorf("heard %q, want %q", c.heard, want)
		}
	})
}

// rude panics wherever it is asked.
type rude struct{ *fake }

func (rude) HealthThreshold(Target, bool) int  { panic("threshold") }
func (rude) HealthChanged(Target, bool, error) { panic("changed") }

func TestPanicsOfOptionalMethodsAreContained(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := start(t, configure(t, rude{script(errDown)}, nil), nil)
		synctest.Wait()
		if m.Healthy() {
			t.Error("the failure was lost")
		}
	})
}

func TestChangesAreLoggedWithTheirReason(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		core, logs := observer.New(zap.DebugLevel)
		c := configure(t, script(results("FFFP")...), func(c *Config) { c.ConsecutiveFailure = 2 })
		c.logger = zap.New(core)
		start(t, c, nil)
		time.Sleep(35 * time.Second)
		synctest.Wait()
		var got []string
		for _, e := range logs.All() {
			got = append(got, fmt.Sprint(e.Level, " ", e.Message, " ", e.ContextMap()["reason"], " ", e.ContextMap()["after"]))
		}
		want := []string{
			"debug health check failed down <nil>",
			"debug health check failed down 2",
			"debug health check failed down <nil>",
			"debug health check passes again <nil> 1",
		}
		if !slices.Equal(got, want) {
			t.Errorf("log %q, want %q", got, want)
		}
	})
}
