package ratelimit

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/caddylb/caddy-lb/lb"
)

// admitted are the times at which a limiter let one key through. It is asked in random steps, and when it refuses sometimes exactly at the
// time that it told to come back.
func admitted(t *rapid.T, l Limiter, limit lb.Limit) (times []time.Duration) {
	now := time.Duration(rapid.Int64Range(0, int64(limit.Window)*3).Draw(t, "start"))
	even := limit.Window / time.Duration(limit.Events)
	for range rapid.IntRange(1, 300).Draw(t, "requests") {
		taken := l.Take("key", now)
		if taken.Allowed {
			times = append(times, now)
			if taken.RetryAfter != 0 || taken.Reset <= 0 {
				t.Fatalf("allowed with %+v", taken)
			}
		} else if taken.RetryAfter <= 0 || taken.Remaining != 0 {
			t.Fatalf("refused with %+v", taken)
		}
		switch rapid.IntRange(0, 4).Draw(t, "step") {
		case 0: // at once
		case 1:
			now += time.Duration(rapid.Int64Range(0, int64(even)).Draw(t, "pause"))
		case 2:
			now += time.Duration(rapid.Int64Range(0, 3*int64(limit.Window)).Draw(t, "rest"))
		case 3:
			now += even
		case 4:
			// One that comes a moment too early is refused, and one in time is not.
			if now += taken.RetryAfter; taken.RetryAfter > 0 {
				if early := l.Take("key", now-1); early.Allowed {
					t.Fatalf("allowed before RetryAfter %s was over", taken.RetryAfter)
				}
				if !l.Take("key", now).Allowed {
					t.Fatalf("refused when RetryAfter %s was over", taken.RetryAfter)
				}
				times = append(times, now)
			}
		}
	}
	return times
}

func drawLimit(t *rapid.T) lb.Limit {
	return lb.Limit{
		Events: rapid.Int64Range(1, 50).Draw(t, "events"),
		Window: time.Duration(rapid.Int64Range(int64(time.Millisecond), int64(time.Hour)).Draw(t, "window")),
		Burst:  rapid.Int64Range(1, 100).Draw(t, "burst"),
	}
}

// TestBucketKeepsItsPromise: in any time t there are at most Burst + Events*t/Window.
func TestBucketKeepsItsPromise(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limit := drawLimit(t)
		times := admitted(t, NewBucket(limit, 10), limit)
		for i := range times {
			for j := i; j < len(times); j++ {
				span := times[j] - times[i]
				most := float64(limit.Burst) + float64(limit.Events)*float64(span)/float64(limit.Window)
				if n := j - i + 1; float64(n) > most+1e-6 {
					t.Fatalf("%d in %s, at most %f are allowed", n, span, most)
				}
			}
		}
	})
}

// TestWindowKeepsItsPromise: a time of one window touches at most two, with Events in each; one of k windows touches at most k+1.
func TestWindowKeepsItsPromise(t *testing.T) {
	for name, limiter := range map[string]func(lb.Limit, int) Limiter{
		"exact":  func(l lb.Limit, keys int) Limiter { return NewWindow(l, keys) },
		"sketch": func(l lb.Limit, keys int) Limiter { return NewSketch(l, keys) },
	} {
		t.Run(name, rapid.MakeCheck(func(t *rapid.T) {
			limit := drawLimit(t)
			times := admitted(t, limiter(limit, 10), limit)
			for i := range times {
				for j := i; j < len(times); j++ {
					windows := int64((times[j]-times[i])/limit.Window) + 1
					if n := int64(j - i + 1); n > limit.Events*(windows+1) {
						t.Fatalf("%d in the time of %d windows, the limit is %d", n, windows, limit.Events)
					}
				}
			}
		}))
	}
}

// TestRestOfABucketIsTold: Remaining is what really goes through at once, and after Reset everything does again.
func TestRestOfABucketIsTold(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limit := drawLimit(t)
		for name, l := range map[string]Limiter{"bucket": NewBucket(limit, 10), "window": NewWindow(limit, 10)} {
			most := limit.Burst
			if name == "window" {
				most = limit.Events
			}
			now := time.Duration(rapid.Int64Range(0, int64(limit.Window)*3).Draw(t, "start"))
			for range rapid.IntRange(0, 20).Draw(t, "before") {
				l.Take("key", now)
				now += time.Duration(rapid.Int64Range(0, int64(limit.Window)).Draw(t, "pause"))
			}
			taken := l.Take("key", now)
			for range taken.Remaining {
				if taken = l.Take("key", now); !taken.Allowed {
					t.Fatalf("%s: refused although there were some left", name)
				}
			}
			if taken = l.Take("key", now); taken.Allowed {
				t.Fatalf("%s: allowed although none was left", name)
			}
			if taken = l.Take("key", now+taken.Reset); taken.Remaining != most-1 {
				t.Fatalf("%s: %d left after one at Reset, want %d", name, taken.Remaining, most-1)
			}
		}
	})
}

// TestSteadyOverload offers 100 clients three times the limit for a minute. Each gets its limit, within 1 %.
func TestSteadyOverload(t *testing.T) {
	const clients, seconds = 100, 60
	var names [clients]string
	for c := range names {
		names[c] = fmt.Sprint("client ", c)
	}
	limit := lb.Limit{Events: 100, Window: time.Second, Burst: 20}
	for name, l := range map[string]Limiter{
		"bucket": NewBucket(limit, 1000),
		"window": NewWindow(limit, 1000),
		"sketch": NewSketch(limit, 10_000),
	} {
		got := make([]int, clients)
		for tick := range 300 * seconds {
			now := time.Hour + time.Duration(tick)*time.Second/300
			for c := range got {
				if l.Take(names[c], now+time.Duration(c)*17*time.Microsecond).Allowed {
					got[c]++
				}
			}
		}
		want := 100 * seconds
		if name == "bucket" {
			want += 20
		}
		for c, n := range got {
			if n > want || n < want*99/100 {
				t.Errorf("%s: client %d got %d of %d", name, c, n, want)
			}
		}
	}
}
