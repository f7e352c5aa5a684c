package cluster

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/caddylb/caddy-lb/lb"
)

// maxOrders bounds how many orders are remembered, those taken back included.
const maxOrders = 20_000

// remembered is how long an order that was taken back is. An instance that was cut off from Redis for longer may bring it back.
const remembered = 30 * 24 * time.Hour

// orders is what operators decided, here and elsewhere. Each order is a register of its own, for which the last writer wins. Redis is
// where the registers meet, but every instance has them all: what Redis lost, for it was started anew, it gets back from them.
//
// All methods are safe for concurrent use.
type orders struct {
	client *client
	wake   chan struct{}
	synced chan struct{} // closed when all orders were read for the first time

	// applying is held while subscribers are called. It is taken before mu.
	applying sync.Mutex

	// pushing is held while an order of this instance is on its way to Redis, so that an older one cannot overtake.
	pushing sync.Mutex

	mu          sync.Mutex
	active      bool // whether anybody subscribed or published yet
	registers   map[field]*register
	dirty       map[backend]bool // what subscribers have to be told
	subscribers []*subscriber
}

// register is one order.
type register struct {
	stored // what Redis has, as far as is known

	// pending is set while an order of this instance is not stored yet. Until then it holds here, whatever else comes.
	pending bool
	ordered string    // the value of that order
	at      time.Time // when it was given
	tries   int
}

// effective is what holds here.
func (r *register) effective() string {
	if r.pending {
		return r.ordered
	}
	return r.value
}

type subscriber struct{ apply func(lb.Override) }

func newOrders(c *client) *orders {
	return &orders{
		client: c, wake: make(chan struct{}, 1), synced: make(chan struct{}),
		registers: make(map[field]*register), dirty: make(map[backend]bool),
	}
}

// wakeUp has the goroutine of the orders look what there is to do.
func (o *orders) wakeUp() {
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

// subscribe implements [lb.SharedOverrides].
func (o *orders) subscribe(apply func(lb.Override)) (cancel func()) {
	s := &subscriber{apply}
	o.awaitSync()
	o.applying.Lock()
	defer o.applying.Unlock()
	o.mu.Lock()
	o.subscribers = append(o.subscribers, s)
	known := make(map[backend]bool)
	for f := range o.registers {
		known[f.backend] = true
	}
	var all []lb.Override
	for b := range known {
		all = append(all, o.override(b))
	}
	o.mu.Unlock()
	for _, ov := range all {
		apply(ov)
	}
	return func() {
		o.applying.Lock()
		defer o.applying.Unlock()
		o.mu.Lock()
		defer o.mu.Unlock()
		o.subscribers = slices.DeleteFunc(o.subscribers, func(x *subscriber) bool { return x == s })
	}
}

// syncPatience is how long a new subscriber waits for what holds, so that an instance does not begin with backends that are drained.
const syncPatience = 500 * time.Millisecond

// awaitSync waits until all orders were read once, unless Redis is away.
func (o *orders) awaitSync() {
	o.mu.Lock()
	o.active = true
	o.mu.Unlock()
	o.wakeUp()
	if o.client.open.Load() == nil {
		return
	}
	select {
	case <-o.synced:
	case <-time.After(syncPatience):
	}
}

// override is what holds for a backend. The caller holds o.mu.
func (o *orders) override(b backend) lb.Override {
	ov := lb.Override{Pool: b.pool, Backend: b.address}
	for _, a := range attributes {
		f := field{b, a}
		if r := o.registers[f]; r != nil {
			_ = f.decide(r.effective(), &ov) // values were checked when they came
		}
	}
	return ov
}

// publish implements [lb.SharedOverrides].
func (o *orders) publish(ctx context.Context, ov lb.Override) error {
	changed, err := o.record(ov, time.Now())
	if err != nil {
		return err
	}
	o.wakeUp()
	for _, f := range changed {
		if err := o.push(ctx, f); err != nil {
			return fmt.Errorf("the other instances are told when that is possible: %w", err)
		}
	}
	return nil
}

// record takes in an order of this instance, and returns what of it is new.
func (o *orders) record(ov lb.Override, now time.Time) (changed []field, err error) {
	b := backend{ov.Pool, ov.Backend}
	if text := (field{b, attributeWeight}).String(); len(text) > maxField {
		return nil, fmt.Errorf("the names of pool and backend have %d bytes, more than %d: the order holds here alone", len(text), maxField)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.active = true
	for _, a := range attributes {
		f := field{b, a}
		value := f.value(ov)
		r := o.registers[f]
		if r == nil && value == "" || r != nil && r.effective() == value {
			continue
		}
		if r == nil {
			if len(o.registers) >= maxOrders {
				return changed, fmt.Errorf("there are %d orders already: the order holds here alone", maxOrders)
			}
			r = new(register)
			o.registers[f] = r
		}
		r.pending, r.ordered, r.at, r.tries = true, value, now, 0
		changed = append(changed, f)
	}
	// Whoever applied an older order meanwhile applies this one after it.
	o.dirty[b] = true
	return changed, nil
}

// merge takes in what Redis has for a field.
func (o *orders) merge(f field, s stored) {
	o.mu.Lock()
	defer o.mu.Unlock()
	r := o.registers[f]
	if r == nil {
		if len(o.registers) >= maxOrders {
			return
		}
		r = new(register)
		o.registers[f] = r
	}
	if s.version <= r.version {
		return
	}
	before := r.effective()
	r.stored = s
	if r.effective() != before {
		o.dirty[f.backend] = true
	}
}

// apply tells subscribers what changed. An order that comes while they are told makes the backend dirty again, and is told after that.
func (o *orders) apply() {
	o.applying.Lock()
	defer o.applying.Unlock()
	for {
		ov, subscribers, ok := o.nextDirty()
		if !ok {
			return
		}
		for _, s := range subscribers {
			s.apply(ov)
		}
	}
}

func (o *orders) nextDirty() (lb.Override, []*subscriber, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for b := range o.dirty {
		delete(o.dirty, b)
		return o.override(b), slices.Clone(o.subscribers), true
	}
	return lb.Override{}, nil, false
}
