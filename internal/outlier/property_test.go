package outlier

import (
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// step is one thing that happens. All of them are drawn first: what happens does so on a synctest bubble's clock, rapid on the real one.
type step struct {
	do   string
	host int
	n    int
	kind Kind
}

func steps(hosts int) *rapid.Generator[[]step] {
	return rapid.SliceOfN(rapid.Custom(func(rt *rapid.T) step {
		return step{
			do:   rapid.SampledFrom([]string{"observe", "observe", "at once", "answer", "check", "wait"}).Draw(rt, "do"),
			host: rapid.IntRange(0, hosts-1).Draw(rt, "host"),
			n:    rapid.IntRange(1, 120).Draw(rt, "n"),
			kind: rapid.SampledFrom([]Kind{Ignored, ServerError, GatewayError, ConnectFailure, Success}).Draw(rt, "kind"),
		}
	}), 1, 60)
}

// do takes one step.
func (f *fixture) do(s step) {
	switch s.do {
	case "observe":
		f.observe(s.host, s.n, s.kind)
	case "at once":
		var wg sync.WaitGroup
		for g := range 8 {
			h := (s.host + g) % len(f.hosts)
			wg.Go(func() {
				for range 10 {
					f.observe(h, 1, s.kind)
					f.hosts[h].CheckPassed(f.now())
				}
			})
		}
		wg.Wait()
	case "answer":
		f.answers(s.host, 60, time.Duration(s.n)*time.Millisecond)
	case "check":
		f.hosts[s.host].CheckPassed(f.now())
	case "wait":
		time.Sleep(time.Duration(s.n) * time.Second / 2)
		synctest.Wait()
	}
}

// run takes the steps on a virtual clock, and looks after each; fault is what it found, empty for nothing.
func run(t *testing.T, hosts int, c Config, plan []step, look func(f *fixture) (fault string)) (fault string) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, hosts, c)
		f.Start()
		for i, s := range plan {
			f.do(s)
			if fault = look(f); fault != "" {
				fault = fmt.Sprintf("after step %d: %s", i, fault)
				return
			}
		}
	})
	return fault
}

// Whatever happens in whatever order, no more hosts are away than may be, and one stays.
func TestNeverMoreThanTheShare(t *testing.T) {
	ejected := false
	rapid.Check(t, func(rt *rapid.T) {
		n := rapid.IntRange(1, 12).Draw(rt, "hosts")
		c := Config{
			MaxEjectionPercent: rapid.Float64Range(1, 100).Draw(rt, "percent"),
			AlwaysEjectOne:     rapid.Bool().Draw(rt, "one"),
			Latency:            Slowness{Factor: 2, MinRequests: 1},
		}
		most := int(c.MaxEjectionPercent*float64(n)/100 + 1e-9)
		if c.AlwaysEjectOne {
			most = max(most, 1)
		}
		most = min(most, n-1)
		fault := run(t, n, c, steps(n).Draw(rt, "steps"), func(f *fixture) string {
			got := away(f.hosts)
			ejected = ejected || got > 1
			if got > most {
				return fmt.Sprintf("%d of %d hosts are away, at most %d may be", got, n, most)
			}
			return ""
		})
		if fault != "" {
			rt.Fatal(fault)
		}
	})
	if !ejected {
		t.Error("no two hosts were ever out: the steps show nothing")
	}
}

// A backend that works comes back, whatever it did before: after the longest time out, one good answer is enough.
func TestEveryHostReturns(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		const hosts = 4
		plan := append(steps(hosts).Draw(rt, "steps"), step{do: "wait", n: 600})
		for h := range hosts {
			plan = append(plan, step{do: "observe", host: h, n: 1, kind: Success})
		}
		last := 0
		fault := run(t, hosts, Config{MaxEjectionPercent: 75}, plan, func(f *fixture) string {
			last = away(f.hosts)
			return ""
		})
		if fault != "" || last != 0 {
			rt.Fatalf("%d hosts are away after a success of each (%s)", last, fault)
		}
	})
}
