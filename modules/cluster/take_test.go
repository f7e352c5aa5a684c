package cluster

import (
	"fmt"
	"math"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gomodule/redigo/redis"

	"github.com/caddylb/caddy-lb/lb"
)

func TestBucketAllowsItsBurstAndThenItsPace(t *testing.T) {
	a := open(t, patient(startRedis(t)))
	limit := lb.Limit{Events: 1, Window: time.Hour, Burst: 5}
	for i := range int64(5) {
		taken, err := a.Take(t.Context(), "k", limit)
		if err != nil {
			t.Fatal(err)
		}
		if !taken.Allowed || taken.Remaining != 4-i || taken.RetryAfter != 0 {
			t.Errorf("event %d of a burst: %+v", i, taken)
		}
		if want := time.Duration(i+1) * time.Hour; (taken.Reset - want).Abs() > time.Minute {
			t.Errorf("event %d: all places are free in %s, want %s", i, taken.Reset, want)
		}
	}
	taken, err := a.Take(t.Context(), "k", limit)
	if err != nil {
		t.Fatal(err)
	}
	if taken.Allowed || taken.Remaining != 0 || (taken.RetryAfter-time.Hour).Abs() > time.Minute {
		t.Errorf("after the burst: %+v", taken)
	}
	if taken, err := a.Take(t.Context(), "other", limit); err != nil || !taken.Allowed {
		t.Errorf("another key: %+v, %v", taken, err)
	}
}

func TestSlidingWindowAllowsItsEvents(t *testing.T) {
	a := open(t, patient(startRedis(t)))
	// One below and one above the number of events from which on they are counted in grains.
	for _, events := range []int64{5, 500} {
		limit := lb.Limit{Events: events, Window: time.Hour, Sliding: true}
		key := fmt.Sprint(events)
		for i := range events {
			taken, err := a.Take(t.Context(), key, limit)
			if err != nil {
				t.Fatal(err)
			}
			if !taken.Allowed || taken.Remaining != events-1-i {
				t.Fatalf("event %d of %d: %+v", i, events, taken)
			}
		}
		taken, err := a.Take(t.Context(), key, limit)
		if err != nil {
			t.Fatal(err)
		}
		if taken.Allowed || taken.Remaining != 0 || (taken.RetryAfter-time.Hour).Abs() > 2*time.Minute || (taken.Reset-time.Hour).Abs() > 2*time.Minute {
			t.Errorf("after %d events: %+v", events, taken)
		}
	}
}

func TestKeysAreBoundedAndExpire(t *testing.T) {
	r := startRedis(t)
	a := open(t, patient(r))
	long := strings.Repeat("long", 1000)
	for _, sliding := range []bool{false, true} {
		limit := lb.Limit{Events: 10, Window: 200 * time.Millisecond, Burst: 2, Sliding: sliding}
		if _, err := a.Take(t.Context(), long, limit); err != nil {
			t.Fatal(err)
		}
	}
	names, err := redis.Strings(r.do("KEYS", "caddy_lb:*"))
	if err != nil || len(names) < 2 {
		t.Fatalf("keys are %q, %v", names, err)
	}
	for _, name := range names {
		if len(name) > 100 {
			t.Errorf("a key has %d bytes", len(name))
		}
		if ttl := r.must("PTTL", name).(int64); ttl == -1 {
			t.Errorf("%s does not expire", name)
		}
	}
	eventually(t, "the counters are gone", func() bool {
		names, err := redis.Strings(r.do("KEYS", "caddy_lb:*"))
		probe := a.client.key("b", "probe")
		return err == nil && (len(names) == 0 || len(names) == 1 && names[0] == probe)
	})
}

func TestSlidingLogIsBounded(t *testing.T) {
	r := startRedis(t)
	a := open(t, patient(r))
	limit := lb.Limit{Events: 1_000_000, Window: 100 * time.Millisecond, Sliding: true}
	for began := time.Now(); time.Since(began) < 300*time.Millisecond; {
		if _, err := a.Take(t.Context(), "k", limit); err != nil {
			t.Fatal(err)
		}
	}
	if n := r.must("STRLEN", a.client.key("w", "k")).(int64); n == 0 || n > 8+16*(grains+2) {
		t.Errorf("the log of a key has %d bytes", n)
	}
}

func TestOddLimits(t *testing.T) {
	r := startRedis(t)
	a := open(t, patient(r))
	for _, limit := range []lb.Limit{{Window: time.Second}, {Events: 1}, {Events: -1, Window: time.Second}, {Events: 1, Window: 10 * maxSpan}} {
		if taken, err := a.Take(t.Context(), "k", limit); err == nil {
			t.Errorf("%+v: %+v", limit, taken)
		}
	}
	for _, sliding := range []bool{false, true} {
		for _, limit := range []lb.Limit{{Events: 1, Window: maxSpan}, {Events: math.MaxInt64, Window: time.Millisecond, Burst: math.MaxInt64}} {
			limit.Sliding = sliding
			if taken, err := a.Take(t.Context(), fmt.Sprint(limit), limit); err != nil || !taken.Allowed {
				t.Errorf("%+v: %+v, %v", limit, taken, err)
			}
		}
	}
	// A limit that is made stricter does not wait for what the former one allowed.
	wide := lb.Limit{Events: 1, Window: time.Hour, Burst: 100}
	for range 100 {
		if _, err := a.Take(t.Context(), "wide", wide); err != nil {
			t.Fatal(err)
		}
	}
	taken, err := a.Take(t.Context(), "wide", lb.Limit{Events: 1, Window: time.Minute, Burst: 1})
	if err != nil || taken.Allowed || taken.RetryAfter > time.Minute {
		t.Errorf("after a limit was made stricter: %+v, %v", taken, err)
	}
}

func TestForeignDataUnderAKey(t *testing.T) {
	r := startRedis(t)
	a := open(t, patient(r))
	for kind, sliding := range map[string]bool{"b": false, "w": true} {
		limit := lb.Limit{Events: 5, Window: time.Second, Burst: 5, Sliding: sliding}
		for _, foreign := range []string{"", "no number", "nan", "inf", "-inf", strings.Repeat("x", 24), strings.Repeat("\xff", 40)} {
			r.must("SET", a.client.key(kind, "k"), foreign)
			if taken, err := a.Take(t.Context(), "k", limit); err != nil || !taken.Allowed && taken.RetryAfter > 2*time.Second {
				t.Errorf("sliding %v over %q: %+v, %v", sliding, foreign, taken, err)
			}
		}
		r.must("DEL", a.client.key(kind, "k"))
		r.must("LPUSH", a.client.key(kind, "k"), "a list")
		for range 2 * maxMisses {
			if _, err := a.Take(t.Context(), "k", limit); err == nil || isAway(err) {
				t.Fatalf("sliding %v over a list: %v", sliding, err)
			}
		}
	}
	if taken, err := a.Take(t.Context(), "another", lb.Limit{Events: 1, Window: time.Second}); err != nil || !taken.Allowed {
		t.Errorf("another key: %+v, %v", taken, err)
	}
}

func TestScriptsAndKeysMayVanish(t *testing.T) {
	r := startRedis(t)
	a := open(t, patient(r))
	var stop atomic.Bool
	var workers sync.WaitGroup
	for range 8 {
		workers.Go(func() {
			for !stop.Load() {
				for _, sliding := range []bool{false, true} {
					if _, err := a.Take(t.Context(), "k", lb.Limit{Events: 5, Window: time.Second, Sliding: sliding}); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	for range 20 {
		r.must("SCRIPT", "FLUSH")
		r.must("FLUSHALL")
		time.Sleep(5 * time.Millisecond)
	}
	stop.Store(true)
	workers.Wait()
}
