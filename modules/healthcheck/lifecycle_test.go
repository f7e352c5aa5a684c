package healthcheck

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddyserver/caddy/v2"
)

// changes is an OnChange that remembers.
type changes struct {
	mu   sync.Mutex
	list []Change
}

func (c *changes) add(ch Change) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.list = append(c.list, ch)
}

func TestEqualChecksOfOneBackendRunOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := script(nil, errDown)
		var one, two changes
		a := start(t, configure(t, f, nil), &Subscription{Group: "one", OnChange: one.add})
		b := start(t, configure(t, f, func(c *Config) {
			c.CheckRaw = []byte(`{ "kind" : "fake" }`)
			c.Interval = caddy.Duration(defaultInterval) // spelled out
		}), &Subscription{Group: "two", OnChange: two.add})
		if a != b {
			t.Fatal("two monitors for one check")
		}
		time.Sleep(35 * time.Second)
		synctest.Wait()
		if f.count() != 4 {
			t.Errorf("%d checks in 35 s, want 4", f.count())
		}
		for _, c := range []*changes{&one, &two} {
			if len(c.list) != 1 || c.list[0].Healthy || !errors.Is(c.list[0].Reason, errDown) || !c.list[0].Latest {
				t.Errorf("a group was told %+v", c.list)
			}
		}
	})
}

func TestDifferentChecksAreApart(t *testing.T) {
	base := configure(t, script(nil), nil)
	m := Acquire(base, target(t.Name()))
	defer m.Release(nil)
	for name, edit := range map[string]func(*Config, *Target){
		"interval":   func(c *Config, _ *Target) { c.Interval = caddy.Duration(time.Second) },
		"module":     func(c *Config, _ *Target) { c.CheckRaw = []byte(`{"kind":"fake","x":1}`) },
		"port":       func(c *Config, _ *Target) { c.Port = 81 },
		"transport":  func(c *Config, _ *Target) { c.inherited.Key = "tls" },
		"name":       func(_ *Config, t *Target) { t.Name = "other" },
		"servername": func(_ *Config, t *Target) { t.ServerName = "other" },
		"scheme":     func(_ *Config, t *Target) { t.Address.Scheme = "https" },
		"backend":    func(_ *Config, t *Target) { t.Address.Port = "82" },
	} {
		to := target(t.Name())
		c := configure(t, script(nil), func(c *Config) { edit(c, &to) })
		other := Acquire(c, to)
		if other == m {
			t.Errorf("%s makes no difference", name)
		}
		other.Release(nil)
	}
}

func TestPortOfTheCheckIsFilledIn(t *testing.T) {
	c := configure(t, script(nil), func(c *Config) { c.Port = 9000 })
	m := Acquire(c, target(t.Name()))
	defer m.Release(nil)
	if got := m.Target(); got.Address.Port != "9000" || got.Backend.Port != "80" {
		t.Errorf("target %+v", got)
	}
}

func TestReloadTakesOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		before, after := script(errDown), script(errDown, errDown, nil)
		var told, toldNew changes
		old := &Subscription{Config: configure(t, before, nil), Group: "pool", OnChange: told.add}
		m := Acquire(old.Config, target(t.Name()))
		m.Attach(old)
		time.Sleep(4 * time.Second)

		fresh := &Subscription{Config: configure(t, after, nil), Group: "pool", OnChange: toldNew.add}
		if Acquire(fresh.Config, target(t.Name())) != m {
			t.Fatal("the reload made another monitor")
		}
		if m.Healthy() {
			t.Error("a known-dead backend was forgotten")
		}
		m.Attach(fresh)
		m.Release(old)
		synctest.Wait()
		if after.count() != 0 {
			t.Error("the reload made an extra first check")
		}
		time.Sleep(30 * time.Second)
		synctest.Wait()
		if before.count() != 1 || after.count() != 3 || after.overlap() != 1 {
			t.Errorf("%d checks by the old configuration, %d by the new, %d at once", before.count(), after.count(), after.overlap())
		}
		if got := after.times()[0].Sub(before.times()[0]); got != 10*time.Second {
			t.Errorf("the schedule was restarted: %s between two checks", got)
		}
		if len(told.list) != 1 || len(toldNew.list) != 1 || !toldNew.list[0].Healthy {
			t.Errorf("old told %+v, new told %+v", told.list, toldNew.list)
		}
		m.Release(fresh)
	})
}

func TestOnlyTheNewestOfAGroupAnnounces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := script(nil, errDown, nil)
		var a, b, other changes
		start(t, configure(t, f, nil), &Subscription{Group: "pool", OnChange: a.add})
		start(t, configure(t, f, nil), &Subscription{Group: "other", OnChange: other.add})
		second := &Subscription{Config: configure(t, f, nil), Group: "pool", OnChange: b.add}
		m := Acquire(second.Config, target(t.Name()))
		m.Attach(second)
		time.Sleep(11 * time.Second)
		synctest.Wait()
		if a.list[0].Latest || !b.list[0].Latest || !other.list[0].Latest {
			t.Errorf("latest: %v, %v and %v in another group", a.list[0].Latest, b.list[0].Latest, other.list[0].Latest)
		}
		m.Release(second)
		time.Sleep(11 * time.Second)
		synctest.Wait()
		if len(b.list) != 1 || len(a.list) != 2 || !a.list[1].Latest {
			t.Errorf("after the newest had gone: %+v and %+v", a.list, b.list)
		}
	})
}

func TestFailedConfigurationChangesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, failed := script(nil), script(errDown)
		m := start(t, configure(t, f, nil), nil)
		synctest.Wait()

		// One that fails before it starts.
		c := configure(t, failed, nil)
		Acquire(c, target(t.Name())).Release(nil)

		// One that fails when some of it has started.
		s := &Subscription{Config: c}
		Acquire(c, target(t.Name()))
		m.Attach(s)
		m.Release(s)

		time.Sleep(25 * time.Second)
		synctest.Wait()
		if failed.count() != 0 || f.count() != 3 || !m.Healthy() {
			t.Errorf("%d checks by the failed configuration, %d by the one that runs", failed.count(), f.count())
		}
	})
}

func TestAcquireAloneLeavesNothing(t *testing.T) {
	f := script(nil)
	c := configure(t, f, nil)
	m := Acquire(c, target(t.Name()))
	m.Release(nil)
	if n, ok := monitors.References(m.id); ok {
		t.Errorf("%d references are left", n)
	}
	if len(relatives.of[m.relation()]) != 0 {
		t.Error("the monitor is still a relative")
	}
	if f.count() != 0 {
		t.Error("a check ran")
	}
}

func TestLastReleaseEndsTheChecks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told changes
		ended := make(chan struct{})
		f := &fake{check: func(ctx context.Context, _ int) error {
			<-ctx.Done()
			defer close(ended)
			return errDown
		}}
		s := &Subscription{Config: configure(t, f, nil), OnChange: told.add}
		m := Acquire(s.Config, target(t.Name()))
		m.Attach(s)
		synctest.Wait() // the check is under way
		m.Release(s)
		<-ended
		time.Sleep(time.Minute)
		if f.count() != 1 || len(told.list) != 0 {
			t.Errorf("%d checks, told %+v", f.count(), told.list)
		}
	})
}

func TestReleaseWaitsForTheCallUnderWay(t *testing.T) {
	c := configure(t, script(errDown), nil)
	entered, leave, released := make(chan struct{}), make(chan struct{}), make(chan struct{})
	s := &Subscription{Config: c, OnChange: func(Change) {
		close(entered)
		<-leave
	}}
	m := Acquire(c, target(t.Name()))
	m.Attach(s)
	start(t, c, nil) // so that Release does not have to wait for the goroutine's end
	<-entered
	go func() {
		m.Release(s)
		close(released)
	}()
	for m.lifecycle.TryLock() { // until the release has come to wait
		m.lifecycle.Unlock()
		select {
		case <-released:
			t.Fatal("released while being called")
		default:
			runtime.Gosched()
		}
	}
	close(leave)
	<-released
}
