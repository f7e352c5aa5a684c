package cluster

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddylb/caddy-lb/lb"
)

// balancer is an instance as far as orders go: what it was told to do, by pool and backend.
type balancer struct {
	*shared

	mu     sync.Mutex
	holds  map[string]string
	cancel func()
}

func newBalancer(t *testing.T, o Options) *balancer {
	t.Helper()
	b := &balancer{shared: instance(t, o), holds: make(map[string]string)}
	b.cancel = b.Subscribe(func(o lb.Override) {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.holds[o.Pool+" "+o.Backend] = text(o)
	})
	t.Cleanup(b.cancel)
	return b
}

// text is what an override says: "drained", "weight 5/1", both, or nothing.
func text(o lb.Override) string {
	var s string
	if o.Drained != nil && *o.Drained {
		s = "drained"
	}
	if o.Weight != nil {
		s += fmt.Sprintf("weight %d/%d", *o.Weight, o.Configured)
	}
	return s
}

func (b *balancer) holdsNow(backend string) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.holds[backend]
}

func (b *balancer) forget() {
	b.mu.Lock()
	defer b.mu.Unlock()
	clear(b.holds)
}

// order gives an order and returns how long it took until every instance had it.
func order(t *testing.T, from *balancer, o lb.Override, all ...*balancer) time.Duration {
	t.Helper()
	began := time.Now()
	if err := from.Publish(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	for i, b := range all {
		eventually(t, fmt.Sprintf("instance %d has %q", i, text(o)), func() bool {
			return b.holdsNow(o.Pool+" "+o.Backend) == text(o)
		})
	}
	return time.Since(began)
}

func drain(backend string) lb.Override {
	yes := true
	return lb.Override{Pool: "p", Backend: backend, Drained: &yes}
}

func weigh(backend string, weight int) lb.Override {
	return lb.Override{Pool: "p", Backend: backend, Weight: &weight, Configured: 1}
}

func nothingHolds(backend string) lb.Override { return lb.Override{Pool: "p", Backend: backend} }

func TestOrdersReachTheOthers(t *testing.T) {
	r := startRedis(t)
	a, b := newBalancer(t, patient(r)), newBalancer(t, patient(r))
	for _, o := range []lb.Override{drain("x"), weigh("y", 5), nothingHolds("x"), weigh("y", 0), nothingHolds("y"), drain("x")} {
		took := order(t, a, o, a, b)
		t.Logf("%q was with the other after %s", text(o), took)
		if took > time.Second {
			t.Errorf("%q needed %s", text(o), took)
		}
	}
	// The other may take it back, and newcomers take over what holds before they begin.
	order(t, b, weigh("y", 3), a, b)
	order(t, b, nothingHolds("x"), a, b)
	c := newBalancer(t, patient(r))
	if got := c.holdsNow("p y"); got != "weight 3/1" {
		t.Errorf("a new instance begins with %q", got)
	}
}

func TestAttributesAreApart(t *testing.T) {
	r := startRedis(t)
	a, b := newBalancer(t, patient(r)), newBalancer(t, patient(r))
	order(t, a, drain("x"), a, b)
	both := drain("x")
	both.Weight, both.Configured = weigh("x", 4).Weight, 1
	order(t, b, both, a, b)
	order(t, a, weigh("x", 4), a, b)
}

func TestLastWriterWins(t *testing.T) {
	r := startRedis(t)
	all := []*balancer{newBalancer(t, patient(r)), newBalancer(t, patient(r)), newBalancer(t, patient(r))}
	var writers sync.WaitGroup
	for i, b := range all {
		writers.Go(func() {
			for n := range 50 {
				if err := b.Publish(t.Context(), weigh("x", 100*i+n)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	writers.Wait()
	eventually(t, "all agree with Redis", func() bool {
		inRedis, err := all[0].client.orders.readAll(t.Context())
		want := inRedis[field{backend{"p", "x"}, attributeWeight}].value
		for _, b := range all {
			if b.holdsNow("p x") != "weight "+want {
				return false
			}
		}
		return err == nil
	})
}

func TestOrdersWaitForRedis(t *testing.T) {
	r := startRedis(t)
	o := Options{URL: r.url(), Timeout: caddy.Duration(500 * time.Millisecond)}
	a, b := newBalancer(t, o), newBalancer(t, o)
	order(t, a, weigh("kept", 7), a, b)
	r.stop()
	eventually(t, "both know", func() bool { return a.client.open.Load() == nil && b.client.open.Load() == nil })
	if err := a.Publish(t.Context(), drain("x")); err == nil {
		t.Error("an order that nobody can be told of has no error")
	}
	// Redis begins anew, with nothing.
	r.start()
	eventually(t, "the order arrives", func() bool { return b.holdsNow("p x") == "drained" })
	for i, x := range []*balancer{a, b} {
		if got := x.holdsNow("p kept"); got != "weight 7/1" {
			t.Errorf("instance %d has %q after Redis lost the order", i, got)
		}
	}
	eventually(t, "Redis has the order again", func() bool {
		c := newBalancer(t, o)
		defer c.cancel()
		return c.holdsNow("p kept") == "weight 7/1" && c.holdsNow("p x") == "drained"
	})
}

func TestOlderOrderDoesNotWin(t *testing.T) {
	r := startRedis(t)
	a, b := newBalancer(t, patient(r)), newBalancer(t, patient(r))
	order(t, a, drain("x"), a, b)
	// An order that a gave a minute ago, while it was cut off, comes through only now.
	o := a.client.orders
	changed, err := o.record(nothingHolds("x"), time.Now().Add(-time.Minute))
	if err != nil || len(changed) != 1 {
		t.Fatal(changed, err)
	}
	if err := o.push(t.Context(), changed[0]); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a gives way", func() bool { return a.holdsNow("p x") == "drained" })
	if got := b.holdsNow("p x"); got != "drained" {
		t.Errorf("b has %q", got)
	}
}

func TestOrdersSurviveFlush(t *testing.T) {
	r := startRedis(t)
	a, b := newBalancer(t, patient(r)), newBalancer(t, patient(r))
	order(t, a, drain("x"), a, b)
	order(t, a, drain("back"), a, b)
	order(t, a, nothingHolds("back"), a, b)
	r.must("FLUSHALL")
	eventually(t, "Redis gets them back", func() bool {
		n := r.must("HLEN", "caddy_lb:orders").(int64)
		return n == 2
	})
	if a.holdsNow("p x") != "drained" || b.holdsNow("p x") != "drained" || b.holdsNow("p back") != "" {
		t.Error("orders changed with what Redis lost")
	}
}

// What comes late to a pool is told with the next full read, and a lost announcement too.
func TestOrdersAreToldAgain(t *testing.T) {
	r := startRedis(t)
	a, b := newBalancer(t, patient(r)), newBalancer(t, patient(r))
	order(t, a, drain("x"), a, b)
	b.forget()
	eventually(t, "b is told again", func() bool { return b.holdsNow("p x") == "drained" })
	f := field{backend{"p", "quiet"}, attributeDrain}
	r.must("HSET", "caddy_lb:orders", f.String(), "5 1")
	eventually(t, "an order that was not announced is found", func() bool { return b.holdsNow("p quiet") == "drained" })
}

func TestSubscriptionIsMadeAnew(t *testing.T) {
	r := startRedis(t)
	a, b := newBalancer(t, patient(r)), newBalancer(t, patient(r))
	r.must("CLIENT", "KILL", "TYPE", "pubsub")
	order(t, a, drain("x"), a, b)
	eventually(t, "both subscribe again", func() bool {
		reply := r.must("PUBSUB", "NUMSUB", "caddy_lb:news").([]any)
		return reply[1].(int64) == 2
	})
	if took := order(t, a, nothingHolds("x"), a, b); took > time.Second {
		t.Errorf("the order needed %s", took)
	}
}

func TestNonsenseInRedis(t *testing.T) {
	r := startRedis(t)
	f := field{backend{"p", "x"}, attributeDrain}
	for _, pair := range [][2]string{
		{"no JSON", "5 1"},
		{`["drain","p"]`, "5 1"},
		{`["colour","p","x"]`, "5 1"},
		{field{backend{"p", "a"}, attributeDrain}.String(), "5 2"},
		{field{backend{"p", "b"}, attributeDrain}.String(), "99999999999999999999999 1"},
		{field{backend{"p", "c"}, attributeWeight}.String(), "5 -1/1"},
		{field{backend{"p", "d"}, attributeWeight}.String(), "5 1/99999999999"},
		{field{backend{"p", "e"}, attributeWeight}.String(), "no space"},
		{f.String(), "99999999999999999999999 nonsense"},
	} {
		r.must("HSET", "caddy_lb:orders", pair[0], pair[1])
	}
	a, b := newBalancer(t, patient(r)), newBalancer(t, patient(r))
	for _, news := range []string{"", " ", "  ", "5 1 ", "x y z", "5 1 " + repeated("x", 1<<16), `-5 1 ["drain","p","n"]`} {
		r.must("PUBLISH", "caddy_lb:news", news)
	}
	order(t, a, drain("x"), a, b)
	for _, name := range []string{"a", "b", "c", "d", "e", "n"} {
		if got := a.holdsNow("p " + name); got != "" {
			t.Errorf("%s has %q", name, got)
		}
	}
	if err := a.Publish(t.Context(), drain(repeated("x", maxField))); err == nil {
		t.Error("a name without bounds is taken")
	}
}

func TestOldTombstonesAreForgotten(t *testing.T) {
	r := startRedis(t)
	a := newBalancer(t, patient(r))
	old := field{backend{"p", "old"}, attributeDrain}
	r.must("HSET", "caddy_lb:orders", old.String(), stored{version: 5}.String())
	o := a.client.orders
	o.merge(old, stored{version: 5})
	eventually(t, "Redis and the instance forget", func() bool {
		o.mu.Lock()
		defer o.mu.Unlock()
		return r.must("HEXISTS", "caddy_lb:orders", old.String()).(int64) == 0 && o.registers[old] == nil
	})
}

func TestCanceledSubscribersAreNotCalled(t *testing.T) {
	r := startRedis(t)
	a, b := newBalancer(t, patient(r)), newBalancer(t, patient(r))
	b.cancel()
	order(t, a, drain("x"), a)
	c := newBalancer(t, patient(r))
	eventually(t, "others are told", func() bool { return c.holdsNow("p x") == "drained" })
	if got := b.holdsNow("p x"); got != "" {
		t.Errorf("after cancel came %q", got)
	}
}

func TestPublishDoesNotWaitLongerThanItsCaller(t *testing.T) {
	r := startRedis(t)
	a := newBalancer(t, patient(r))
	r.freeze()
	defer r.thaw()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := a.Publish(ctx, drain("x")); err == nil {
		t.Error("a Publish without an answer has no error")
	}
}
