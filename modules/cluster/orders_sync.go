package cluster

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"
)

// syncEvery is how often all orders are read, in case an announcement was lost.
const syncEvery = 3 * time.Second

// run keeps this instance's orders and Redis's the same.
func (o *orders) run(ctx context.Context) {
	ticker := time.NewTicker(probeEvery)
	defer ticker.Stop()
	var news *newsReader
	defer func() { news.close() }()
	var synced time.Time
	var firstSync sync.Once
	for {
		o.apply()
		select {
		case <-ctx.Done():
			return
		case <-o.wake:
		case <-ticker.C:
			news.ping()
		}
		if news.ended() {
			news.close()
			news, synced = nil, time.Time{}
		}
		if !o.isActive() || o.client.open.Load() == nil {
			continue
		}
		if news == nil {
			var err error
			if news, err = o.listen(ctx); err != nil {
				continue // the client finds out as well, and tells when Redis is back
			}
		}
		// What is announced from here on is heard, so what is read now is complete.
		if news.subscribed() && time.Since(synced) >= syncEvery {
			if o.sync(ctx) == nil {
				synced = time.Now()
				firstSync.Do(func() { close(o.synced) })
			}
		}
		o.pushAll(ctx)
	}
}

func (o *orders) isActive() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.active
}

// pushAll sends the orders that wait for Redis.
func (o *orders) pushAll(ctx context.Context) {
	o.mu.Lock()
	var pending []field
	for f, r := range o.registers {
		if r.pending {
			pending = append(pending, f)
		}
	}
	o.mu.Unlock()
	for _, f := range pending {
		if err := o.push(ctx, f); err != nil {
			return
		}
	}
}

// sync reads all orders, gives back what Redis lost, and has everything applied again: a backend may have come to a pool after its order.
func (o *orders) sync(ctx context.Context) error {
	inRedis, err := o.readAll(ctx)
	if err != nil {
		return err
	}
	for f, s := range inRedis {
		o.merge(f, s)
	}
	for f, s := range o.missing(inRedis) {
		if err := o.restore(ctx, f, s); err != nil {
			return err
		}
	}
	return nil
}

// missing is what Redis lacks. What was taken back so long ago that Redis may have forgotten it is forgotten here too.
func (o *orders) missing(inRedis map[field]stored) map[field]stored {
	o.mu.Lock()
	defer o.mu.Unlock()
	oldest := time.Now().Add(-remembered).UnixMicro()
	missing := make(map[field]stored)
	for f, r := range maps.Clone(o.registers) {
		switch {
		case r.value != "":
			o.dirty[f.backend] = true
		case !r.pending && r.version < oldest && inRedis[f].version == 0:
			delete(o.registers, f)
			continue
		}
		if r.version > inRedis[f].version {
			missing[f] = r.stored
		}
	}
	return missing
}

var errOrders = errors.New("the answer is not a list of orders")

// readAll reads what Redis has. What makes no sense there is left out.
func (o *orders) readAll(ctx context.Context) (map[field]stored, error) {
	reply, err := o.client.do(ctx, ordersScript, o.hash(), remembered.Microseconds())
	if err != nil {
		return nil, err
	}
	list, ok := reply.([]any)
	if !ok || len(list)%2 != 0 {
		o.client.failures.count(causeProtocol)
		return nil, errOrders
	}
	found := make(map[field]stored, len(list)/2)
	for pair := range slices.Chunk(list, 2) {
		name, _ := pair[0].([]byte)
		text, _ := pair[1].([]byte)
		f, okName := parseField(string(name))
		s, okText := parseStored(f, string(text))
		if !okName || !okText {
			o.client.log().Debug("leaving out what is not an order", zap.ByteString("field", name), zap.ByteString("value", text))
			continue
		}
		found[f] = s
	}
	return found, nil
}
