package cluster

import (
	"context"
	"errors"
	"time"
)

// hash and channel name where orders are kept and announced.
func (o *orders) hash() string    { return o.client.target.prefix + ":orders" }
func (o *orders) channel() string { return o.client.target.prefix + ":news" }

var errOrder = errors.New("the answer is not one to an order")

// push sends an order of this instance to Redis, unless it is there already. Redis tells what holds then, which is a newer order if there
// is one.
func (o *orders) push(ctx context.Context, f field) error {
	o.pushing.Lock()
	defer o.pushing.Unlock()
	o.mu.Lock()
	r := o.registers[f]
	if r == nil || !r.pending {
		o.mu.Unlock()
		return nil
	}
	// An order that waited for Redis is as old as it is, so that what others ordered since holds. One that may have come through already,
	// though its answer did not, must not be newer the second time.
	value, at := r.ordered, r.at
	fresh := r.tries == 0 && time.Since(at) < time.Second
	r.tries++
	o.mu.Unlock()

	holds, err := o.store(ctx, f, value, time.Since(at), fresh, 0)
	if err != nil {
		return err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if !r.pending || r.at != at {
		return nil // a newer order came meanwhile, and is pushed next
	}
	r.pending = false
	if holds.version > r.version {
		r.stored = holds
	}
	if r.value != value {
		o.dirty[f.backend] = true
		o.wakeUp()
	}
	return nil
}

// restore gives an order back to a Redis that lost it.
func (o *orders) restore(ctx context.Context, f field, s stored) error {
	holds, err := o.store(ctx, f, s.value, 0, false, s.version)
	if err == nil {
		o.merge(f, holds)
	}
	return err
}

// store runs the script that writes an order, and returns what holds.
func (o *orders) store(ctx context.Context, f field, value string, age time.Duration, fresh bool, version int64) (stored, error) {
	reply, err := o.client.do(ctx, orderScript, o.hash(), o.channel(), f.String(), value, age.Microseconds(), fresh, version)
	if err != nil {
		return stored{}, err
	}
	text, _ := reply.([]byte)
	holds, ok := parseStored(f, string(text))
	if !ok {
		o.client.failures.count(causeProtocol)
		return stored{}, errOrder
	}
	return holds, nil
}
