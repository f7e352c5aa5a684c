package healthcheck

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddylb/caddy-lb/lb"
)

func TestEditedCheckKeepsWhatIsKnown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		old := start(t, configure(t, script(errDown), nil), nil)
		synctest.Wait()
		since := old.Status().Since
		time.Sleep(time.Second)

		edited := configure(t, script(nil), func(c *Config) { c.Interval = caddy.Duration(3 * time.Second) })
		m := Acquire(edited, target(t.Name()))
		s := &Subscription{Config: edited}
		defer m.Release(s)
		if st := m.Status(); m == old || st.Healthy || st.Reason != errDown.Error() || !st.Since.Equal(since) {
			t.Errorf("status %+v", st)
		}
		m.Attach(s)
		synctest.Wait()
		if !m.Healthy() || old.Healthy() {
			t.Error("the two are not apart once the new one has a result of its own")
		}
	})
}

func TestAnotherKindOrBackendKnowsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start(t, configure(t, script(errDown), nil), nil)
		synctest.Wait()
		other := configure(t, script(nil), func(c *Config) { c.CheckRaw = []byte(`{"kind":"other"}`) })
		m := Acquire(other, target(t.Name()))
		defer m.Release(nil)
		n := Acquire(configure(t, script(nil), nil), target(t.Name()+"2"))
		defer n.Release(nil)
		if !m.Healthy() || !n.Healthy() {
			t.Error("the state of another check was taken over")
		}
	})
}

func TestClosestRelativeIsBelieved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		module := func(path string) func(*Config) {
			return func(c *Config) { c.CheckRaw = []byte(`{"kind":"fake","uri":"` + path + `"}`) }
		}
		start(t, configure(t, script(errDown), module("/a")), nil)
		synctest.Wait() // a first result first: otherwise /b would be seeded by it
		start(t, configure(t, script(nil), module("/b")), nil)
		synctest.Wait()
		for path, healthy := range map[string]bool{"/a": false, "/b": true} {
			c := configure(t, script(nil), module(path))
			c.key += " edited"
			m := Acquire(c, target(t.Name()))
			if m.Healthy() != healthy {
				t.Errorf("the edited check of %s began healthy %v", path, m.Healthy())
			}
			m.Release(nil)
		}
	})
}

func TestStateIsTakenOverAgainWhenStarting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		old := start(t, configure(t, script(nil, errDown), nil), nil)
		synctest.Wait()
		block := make(chan struct{})
		edited := configure(t, &fake{check: func(context.Context, int) error { <-block; return nil }}, func(c *Config) {
			c.Interval = caddy.Duration(3 * time.Second)
			c.Timeout = caddy.Duration(time.Hour)
		})
		m := Acquire(edited, target(t.Name()))
		s := &Subscription{Config: edited}
		defer m.Release(s)
		defer close(block)
		time.Sleep(11 * time.Second) // loading takes that long, and the backend dies
		if old.Healthy() || !m.Healthy() {
			t.Fatal("the test did not come to its point")
		}
		m.Attach(s)
		synctest.Wait()
		if m.Healthy() {
			t.Error("the backend that died while the configuration loaded counts as healthy")
		}
	})
}

func TestSequentialChecksTakeTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{check: func(ctx context.Context, _ int) error {
			select {
			case <-time.After(500 * time.Millisecond):
			case <-ctx.Done():
			}
			return nil
		}}
		c := configure(t, f, func(c *Config) { c.Sequential = true })
		gate := new(Gate)
		for _, host := range []string{"a", "b", "c", "d"} {
			s := &Subscription{Config: c, Gate: gate}
			m := Acquire(c, target(t.Name()+host))
			m.Attach(s)
			t.Cleanup(func() { m.Release(s) })
		}
		time.Sleep(5 * time.Second)
		if f.count() != 4 || f.overlap() != 1 {
			t.Errorf("%d checks, %d at once; want 4, one at a time", f.count(), f.overlap())
		}
	})
}

func TestStuckCheckDoesNotHoldTheGate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		block := make(chan struct{})
		defer close(block)
		gate := new(Gate)
		stuck := configure(t, &fake{check: func(context.Context, int) error { <-block; return nil }}, nil)
		start(t, stuck, &Subscription{Gate: gate})
		synctest.Wait()
		f := script(nil)
		s := &Subscription{Config: configure(t, f, nil), Gate: gate}
		m := Acquire(s.Config, target(t.Name()+"2"))
		m.Attach(s)
		defer m.Release(s)
		time.Sleep(5 * time.Second)
		if f.count() != 1 {
			t.Errorf("%d checks passed the gate of a stuck one, want 1", f.count())
		}
	})
}

func TestReleaseAtTheGate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate := new(Gate)
		if err := gate.enter(context.Background()); err != nil {
			t.Fatal(err)
		}
		f := script(nil)
		s := &Subscription{Config: configure(t, f, nil), Gate: gate}
		m := Acquire(s.Config, target(t.Name()))
		m.Attach(s)
		synctest.Wait()
		m.Release(s)
		gate.leave()
		time.Sleep(time.Minute)
		if f.count() != 0 {
			t.Error("a check ran after the release")
		}
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		if err := gate.enter(context.Background()); err != nil {
			t.Fatal(err)
		}
		if err := gate.enter(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("entered an occupied gate: %v", err)
		}
	})
}

func TestAddressOfARequestCannotBeChecked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := script(errDown)
		c := configure(t, f, func(c *Config) { c.Initial = InitialUnhealthy })
		s := &Subscription{Config: c}
		m := Acquire(c, Target{Address: lb.Address{Network: "tcp", Host: "{http.request.host}", Port: "80"}})
		m.Attach(s)
		defer m.Release(s)
		<-m.FirstResult()
		st := m.Status()
		if f.count() != 0 || st.Passes+st.Failures != 0 || st.LastError == "" || st.Healthy {
			t.Errorf("%d checks, status %+v", f.count(), st)
		}
	})
}

func TestPlaceholdersOfAddressesAreFilledIn(t *testing.T) {
	t.Setenv("CHECKED", "10.0.0.9:81")
	got, err := resolve(lb.Address{Network: "tcp", Host: "{env.CHECKED}"})
	if err != nil || got.Host != "10.0.0.9" || got.Port != "81" {
		t.Errorf("%+v, %v", got, err)
	}
}
