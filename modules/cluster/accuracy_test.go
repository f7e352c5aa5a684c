package cluster

import (
	"fmt"
	"math"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/caddylb/caddy-lb/lb"
)

// event is one Take. Redis saw it at some time from sent to answered.
type event struct {
	sent, answered time.Duration
	allowed        bool
}

// load takes as fast as it can, from every instance and several goroutines each.
func load(t *testing.T, limit lb.Limit, duration time.Duration, instances []*shared) []event {
	t.Helper()
	var mu sync.Mutex
	var events []event
	var workers sync.WaitGroup
	began := time.Now()
	for _, s := range instances {
		for range 4 {
			workers.Go(func() {
				for time.Since(began) < duration {
					sent := time.Since(began)
					taken, err := s.Take(t.Context(), "key", limit)
					if err != nil {
						t.Error(err)
						return
					}
					mu.Lock()
					events = append(events, event{sent, time.Since(began), taken.Allowed})
					mu.Unlock()
				}
			})
		}
	}
	workers.Wait()
	return events
}

// several are instances that share limits under a prefix of their own.
func several(t *testing.T, r *redisServer, n int, prefix string) []*shared {
	t.Helper()
	o := patient(r)
	o.Prefix = prefix
	instances := make([]*shared, n)
	for i := range instances {
		instances[i] = instance(t, o)
	}
	return instances
}

func TestBucketIsAccurate(t *testing.T) {
	r := startRedis(t)
	for clients := 1; clients <= 2; clients++ {
		limit := lb.Limit{Events: 500, Window: time.Second, Burst: 500}
		events := load(t, limit, 3*time.Second, several(t, r, clients, fmt.Sprintf("bucket%d", clients)))
		// The bucket was full before the first event, and empty at the last one that was refused.
		first, last := events[0].sent, time.Duration(0)
		for _, e := range events {
			if !e.allowed {
				last = max(last, e.answered)
			}
		}
		allowed := 0
		for _, e := range events {
			if e.allowed && e.sent < last {
				allowed++
			}
		}
		want := 500 + 500*(last-first).Seconds()
		off := float64(allowed)/want - 1
		t.Logf("%d clients: %d of %d allowed, %+.2f %% off", clients, allowed, len(events), 100*off)
		if math.Abs(off) > 0.02 {
			t.Errorf("%d clients: %d allowed until %s, want %.0f", clients, allowed, last, want)
		}
	}
}

func TestSlidingWindowIsAccurate(t *testing.T) {
	r := startRedis(t)
	// One below and one above the number of events from which on they are counted in grains.
	for _, limit := range []lb.Limit{
		{Events: 100, Window: 200 * time.Millisecond, Sliding: true},
		{Events: 1000, Window: 400 * time.Millisecond, Sliding: true},
	} {
		for clients := 1; clients <= 2; clients++ {
			events := load(t, limit, 2*time.Second, several(t, r, clients, fmt.Sprintf("sliding%d_%d", limit.Events, clients)))
			over, under := windows(events, limit)
			t.Logf("%d events, %d clients: %d Takes, at most %d allowed in a window, and refused over %d", limit.Events, clients, len(events), over, under)
			if over > limit.Events {
				t.Errorf("%d events, %d clients: %d allowed in one window", limit.Events, clients, over)
			}
			if under < limit.Events {
				t.Errorf("%d events, %d clients: an event was refused when %d were allowed in 102 %% of the window before", limit.Events, clients, under)
			}
		}
	}
}

// windows returns how many events were allowed for certain in the fullest window, and how many at most in the emptiest one, made 2 %
// longer, before an event that was refused.
func windows(events []event, limit lb.Limit) (over, under int64) {
	slices.SortFunc(events, func(a, b event) int { return int(a.sent - b.sent) })
	var allowed []event
	for _, e := range events {
		if e.allowed {
			allowed = append(allowed, e)
		}
	}
	for i, first := range allowed {
		n := int64(0)
		for _, e := range allowed[i:] {
			if e.sent > first.sent+limit.Window {
				break
			}
			if e.answered <= first.sent+limit.Window {
				n++
			}
		}
		over = max(over, n)
	}
	under = math.MaxInt64
	for i, refused := range events {
		if refused.allowed || i%8 != 0 { // each of them would take long, and tell nothing more
			continue
		}
		n := int64(0)
		for _, e := range allowed {
			if e.sent <= refused.answered && e.answered >= refused.sent-limit.Window*102/100 {
				n++
			}
		}
		under = min(under, n)
	}
	return over, under
}
