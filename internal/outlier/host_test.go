package outlier

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddylb/caddy-lb/lb"
)

// serve lets a host's time out pass, and its trial succeed.
func (f *fixture) serve(h int) {
	f.t.Helper()
	time.Sleep(f.hosts[h].Status().Until - f.now())
	synctest.Wait()
	f.phase(Trial, h)
	f.observe(h, 1, Success)
	f.phase(In, h)
}

// The time out grows with each ejection in a row up to the longest, and each interval in makes one of them forgotten.
func TestTimeOutGrowsAndShrinks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, 2, Config{AlwaysEjectOne: true, BaseEjection: 30 * time.Second, MaxEjection: 100 * time.Second})
		eject := func(want time.Duration, times int) {
			t.Helper()
			f.observe(0, 5, ServerError)
			f.phase(Out, 0)
			s := f.hosts[0].Status()
			if s.Until-s.Since != want || s.Times != times {
				t.Errorf("out for %v, the %dth time, want %v, %dth", s.Until-s.Since, s.Times, want, times)
			}
			f.serve(0)
		}
		eject(30*time.Second, 1)
		eject(60*time.Second, 2)
		eject(90*time.Second, 3)
		eject(100*time.Second, 4)
		eject(100*time.Second, 4)
		if n := f.hosts[0].Status().Ejections; n != 5 {
			t.Errorf("%d ejections in all, want 5", n)
		}

		time.Sleep(19 * time.Second) // one whole interval of 10 s
		eject(100*time.Second, 4)
		time.Sleep(20 * time.Second)
		if n := f.hosts[0].Status().Times; n != 2 {
			t.Errorf("%d times after two intervals, want 2", n)
		}
		eject(90*time.Second, 3)
		time.Sleep(time.Hour)
		eject(30*time.Second, 1)
	})
}

func TestMaxEjectionBelowBase(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, 2, Config{AlwaysEjectOne: true, BaseEjection: time.Minute, MaxEjection: time.Second})
		for range 2 {
			f.observe(0, 5, ServerError)
			if s := f.hosts[0].Status(); s.Until-s.Since != time.Minute {
				t.Errorf("out for %v, want 1m", s.Until-s.Since)
			}
			f.serve(0)
		}
	})
}

// A host is out exactly as long as it is told, and its trial begins without anybody asking.
func TestTrialBeginsByItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, 2, oneOf)
		var changes atomic.Int32
		cancel := f.hosts[0].Subscribe(func() { changes.Add(1) })
		f.observe(0, 5, ServerError)
		time.Sleep(30*time.Second - time.Nanosecond)
		synctest.Wait()
		f.phase(Out, 0)
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		f.phase(Trial, 0)
		f.observe(0, 1, Success)
		f.phase(In, 0)
		if n := changes.Load(); n != 3 {
			t.Errorf("%d changes were told, want 3: out, on trial, in", n)
		}
		if events := f.take(); len(events) != 2 || events[1].Kind != Returned || events[1].Reason != "5 consecutive 5xx" {
			t.Errorf("events %+v, want an ejection and a return", events)
		}
		cancel()
		f.observe(0, 5, ServerError)
		if n := changes.Load(); n != 3 {
			t.Errorf("%d changes were told after the subscription ended", n-3)
		}
	})
}

// takes is how many of n requests get the place of a trial.
func takes(trial lb.Trial, n int) (got int) {
	for range n {
		if trial.Take() {
			got++
		}
	}
	return got
}

func TestTrialAdmitsOneRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, 2, oneOf)
		h := f.hosts[0]
		out := func() {
			f.observe(0, 5, ServerError)
			if h.Trial() != nil {
				t.Error("a host that is out is on trial")
			}
			time.Sleep(h.Status().Until - f.now())
			synctest.Wait()
		}
		if h.Trial() != nil {
			t.Error("a host that is in is on trial")
		}
		out()
		first := h.Trial()
		if first.Taken() || takes(first, 3) != 1 || !first.Taken() {
			t.Error("a trial has place for one")
		}
		f.observe(0, 1, Ignored) // its client left
		first.Return()
		f.phase(Trial, 0)
		if takes(first, 3) != 1 {
			t.Error("the place was not given back")
		}
		f.observe(0, 1, Success) // an answer without an end
		if first.Taken() || takes(first, 3) != 3 {
			t.Error("the host returned and has no place")
		}

		out()
		second := h.Trial()
		if !first.Taken() || takes(first, 3) != 0 || takes(second, 3) != 1 {
			t.Error("the second trial has no place for one, or one for who knows of the first only")
		}
		first.Return() // that answer ended
		if takes(second, 3) != 0 {
			t.Error("a request of the first trial gave back a place of the second")
		}
	})
}

// The first failure of a trial, of whatever kind, sends the host out for longer, although no other may be ejected.
func TestTrialFails(t *testing.T) {
	for kind, reason := range map[Kind]string{
		ServerError: "on trial: 5xx", GatewayError: "on trial: gateway failure", ConnectFailure: "on trial: connect failure",
	} {
		synctest.Test(t, func(t *testing.T) {
			f := newFixture(t, 2, oneOf)
			f.observe(0, 5, ServerError)
			time.Sleep(30 * time.Second)
			synctest.Wait()
			f.take()
			f.observe(1, 5, ServerError)
			if e := f.one(); e.Kind != Overflow {
				t.Errorf("event %+v, want that a host on trial counts as away", e)
			}
			f.observe(0, 1, kind)
			f.phase(Out, 0)
			want := Event{Kind: Ejected, Rule: RuleTrial, Reason: reason, Times: 2, Until: f.now() + time.Minute}
			if e := f.one(); e != want {
				t.Errorf("event %+v, want %+v", e, want)
			}
		})
	}
}

// Requests that began before say nothing of the host as it is now.
func TestLateAnswersAreIgnored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, 2, oneOf)
		late := func(k Kind) {
			for range 10 {
				f.Observe(f.hosts[0], Outcome{Kind: k, Began: time.Second})
			}
		}
		time.Sleep(10 * time.Second)
		f.observe(0, 5, ServerError)
		late(Success)
		f.phase(Out, 0)
		time.Sleep(30 * time.Second)
		synctest.Wait()
		late(ConnectFailure)
		late(Success)
		f.phase(Trial, 0)
		time.Sleep(time.Second)
		f.observe(0, 1, Success)
		late(ConnectFailure)
		f.phase(In, 0)
		if got := f.hosts[0].record().failures; got != 5 {
			t.Errorf("%d failures count, want the 5 before the ejection", got)
		}
	})
}

// What was counted in a row before an ejection does not count after the return, which Envoy long got wrong.
func TestStreaksEndWithTheReturn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, 2, Config{AlwaysEjectOne: true, ConsecutiveGateway: 6})
		f.observe(0, 5, GatewayError) // ejected as 5xx, one short of the gateway failures
		f.serve(0)
		f.observe(0, 4, GatewayError)
		f.phase(In, 0)
		f.observe(0, 1, GatewayError)
		f.phase(Out, 0)
	})
}

func TestCheckPassedEndsTheTimeOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, 2, oneOf)
		h := f.hosts[0]
		h.CheckPassed(f.now())
		f.phase(In, 0)
		began := f.now()
		time.Sleep(time.Second)
		f.observe(0, 5, ServerError)
		h.CheckPassed(began) // asked before the ejection
		f.phase(Out, 0)
		time.Sleep(time.Second)
		h.CheckPassed(f.now())
		f.phase(Trial, 0)

		// The trial fails, so checks do not see what is wrong, and the time is served.
		f.observe(0, 1, ServerError)
		time.Sleep(time.Second)
		h.CheckPassed(f.now())
		f.phase(Out, 0)
		time.Sleep(59 * time.Second)
		synctest.Wait()
		f.phase(Trial, 0)

		// The timer of the first time out is of no effect on the next one.
		f.observe(0, 1, Success)
		f.observe(0, 5, ServerError)
		time.Sleep(time.Second)
		h.CheckPassed(f.now())
		f.observe(0, 1, Success)
		f.phase(In, 0)
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		f.phase(In, 0)
	})
}

// During a reload two detectors have the same hosts; state, streaks and time out pass from one to the other, and nothing is forgiven twice.
func TestReload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, 10, Config{})
		f.Start()
		f.observe(0, 5, ServerError)
		f.observe(1, 3, ServerError)

		next := New(Config{BaseEjection: 40 * time.Second}, nil)
		for _, h := range f.hosts {
			next.Add(h)
		}
		next.Start()
		defer next.Stop()
		f.Stop()
		for _, h := range f.hosts {
			f.Remove(h)
		}
		f.phase(Out, 0)
		f.observeIn(next, 1, 2, ServerError) // the fifth in a row, but another is out
		f.phase(In, 1)

		time.Sleep(30 * time.Second)
		synctest.Wait()
		f.phase(Trial, 0)
		f.observeIn(f.Detector, 0, 1, Success) // a request of the old configuration
		f.phase(In, 0)
		f.observeIn(next, 0, 5, ServerError)
		if s := f.hosts[0].Status(); s.Until-s.Since != 80*time.Second {
			t.Errorf("out for %v, want twice the new time", s.Until-s.Since)
		}
	})
}

func TestCloseStopsTheTimer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, 2, oneOf)
		f.observe(0, 5, ServerError)
		f.hosts[0].Close()
		time.Sleep(time.Hour)
		synctest.Wait()
		f.phase(Out, 0)
		f.hosts[0].CheckPassed(f.now())
		f.phase(Out, 0)
	})
}
