package selection

import (
	"slices"
	"strings"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"github.com/caddylb/caddy-lb/lb"
)

// As in reverse_proxy the second backend written has the first turn.
func TestRoundRobinFollowsTheOrderWritten(t *testing.T) {
	b := newBed(t, &RoundRobin{}, "10.0.0.1:81", "10.0.0.1:83", "10.0.0.1:82")
	if got := b.sequence(7); got != "3213213" {
		t.Errorf("picks %s, want 3213213", got)
	}
}

func TestRoundRobinGoesOnOverASnapshot(t *testing.T) {
	b := newBed(t, &RoundRobin{}, "10.0.0.1:81", "10.0.0.1:82", "10.0.0.1:83")
	got := b.sequence(2)
	b.set(true)
	if got += b.sequence(2); got != "2312" {
		t.Errorf("picks %s, want 2312", got)
	}
}

// TestRoundRobinSharesByWeightWithBackendsDown holds the windows to their exact counts: where Pingora's
// fallbacks make 83/17 of it, 3 and 1 share 75/25.
func TestRoundRobinSharesByWeightWithBackendsDown(t *testing.T) {
	b := newBed(t, &RoundRobin{}, "10.0.0.1:81 5", "10.0.0.1:82 3", "10.0.0.1:83 1")
	windows(t, b.sequence(90), 9, map[string]int{"1": 5, "2": 3, "3": 1})
	b.set(false, "10.0.0.1:81")
	windows(t, b.sequence(40), 4, map[string]int{"2": 3, "3": 1})
	b.set(true, "10.0.0.1:81")
	b.set(false, "10.0.0.1:82")
	windows(t, b.sequence(60), 6, map[string]int{"1": 5, "3": 1})
	b.set(false, "10.0.0.1:81", "10.0.0.1:83")
	if got := b.sequence(2); got != "--" {
		t.Errorf("picks %s with all down", got)
	}
}

// windows fails unless each stretch of length n of the picks has these counts.
func windows(t *testing.T, picks string, n int, want map[string]int) {
	t.Helper()
	for at := range len(picks) - n + 1 {
		for server, count := range want {
			if got := strings.Count(picks[at:at+n], server); got != count {
				t.Fatalf("%s at %d has %s %d times, want %d", picks[at:at+n], at, server, got, count)
			}
		}
	}
}

func TestWeightedRoundRobinIsFairWithAHostDown(t *testing.T) {
	// Stock gives the server of weight 1 10,000 of 21,000 requests when the first is down.
	b := newBed(t, provisioned(t, &WeightedRoundRobin{Weights: []int{10, 10, 1}}),
		"10.0.0.1:81", "10.0.0.1:82", "10.0.0.1:83")
	b.set(false, "10.0.0.1:81")
	windows(t, b.sequence(110), 11, map[string]int{"2": 10, "3": 1})
}

func TestWeightedRoundRobinCountsByPlaceInTheConfiguration(t *testing.T) {
	b := newBed(t, provisioned(t, &WeightedRoundRobin{Weights: []int{5, 0, 1}}),
		"10.0.0.1:84", "10.0.0.1:83", "10.0.0.1:82", "10.0.0.1:81")
	windows(t, b.sequence(60), 6, map[string]int{"4": 5, "3": 0, "2": 1, "1": 0})
}

func TestWeightedRoundRobinMultipliesTheBackendsOwnWeight(t *testing.T) {
	b := newBed(t, provisioned(t, &WeightedRoundRobin{Weights: []int{2, 1}}), "10.0.0.1:81 3", "10.0.0.1:82 2")
	windows(t, b.sequence(40), 4, map[string]int{"1": 3, "2": 1})
}

// TestRoundRobinSharesUnderConcurrency has many goroutines pick at once: the shares stay exact.
func TestRoundRobinSharesUnderConcurrency(t *testing.T) {
	b := newBed(t, &RoundRobin{}, "10.0.0.1:81 5", "10.0.0.1:82 3", "10.0.0.1:83 1")
	const workers, each = 8, 900
	counts := make([]map[string]int, workers)
	var wg sync.WaitGroup
	for i := range workers {
		wg.Go(func() { counts[i] = b.count(each) })
	}
	wg.Wait()
	total := make(map[string]int)
	for _, c := range counts {
		for server, n := range c {
			total[server] += n
		}
	}
	for server, weight := range map[string]int{"10.0.0.1:81": 5, "10.0.0.1:82": 3, "10.0.0.1:83": 1} {
		if want := workers * each * weight / 9; total[server] != want {
			t.Errorf("%s has %d picks, want %d", server, total[server], want)
		}
	}
}

// TestRotationFindsTheLastMemberLeft gives a rotation longer than its walk one acceptable member.
func TestRotationFindsTheLastMemberLeft(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		n := rapid.IntRange(1, 700).Draw(rt, "n")
		b := newBed(t, &RoundRobin{}, servers(n, rapid.SliceOfN(rapid.IntRange(1, 200), 1, 5).Draw(rt, "weights")...)...)
		members := slices.Clone(b.pool.Snapshot().Members)
		left := rapid.IntRange(0, n-1).Draw(rt, "left")
		last := members[left]
		tried := slices.Delete(members, left, left+1)
		if got := b.pick("", tried...); got != last.Address().String() {
			rt.Fatalf("picked %q, want %s", got, last.Address())
		}
		if got := b.pick("", append(tried, last)...); got != "" {
			rt.Fatalf("picked %s with all tried", got)
		}
	})
}

func TestFirstKeepsTheOrderWritten(t *testing.T) {
	b := newBed(t, &First{}, "10.0.0.1:83", "10.0.0.1:81", "10.0.0.1:82")
	if got := b.pick(""); got != "10.0.0.1:83" {
		t.Errorf("picked %s, want the first written", got)
	}
	if got := b.pick("", b.find("10.0.0.1:83")); got != "10.0.0.1:81" {
		t.Errorf("picked %s with the first tried, want the second", got)
	}
	b.set(false, "10.0.0.1:83", "10.0.0.1:81")
	if got := b.pick(""); got != "10.0.0.1:82" {
		t.Errorf("picked %s, want the third", got)
	}
}

func TestFirstPassesOverAFullBackend(t *testing.T) {
	pool := lb.NewPool("test", &First{})
	a, c := member(t, "10.0.0.1:81"), member(t, "10.0.0.1:82")
	a.MaxRequests, c.Position = 1, 1
	if err := pool.Update([]*lb.Member{a, c}); err != nil {
		t.Fatal(err)
	}
	m := pool.Snapshot().Pick(&lb.Pick{})
	if !m.Acquire() {
		t.Fatal("no place")
	}
	if got := addressOf(pool.Snapshot().Pick(&lb.Pick{})); got != "10.0.0.1:82" {
		t.Errorf("picked %s while the first is full", got)
	}
	m.Release()
	if got := addressOf(pool.Snapshot().Pick(&lb.Pick{})); got != "10.0.0.1:81" {
		t.Errorf("picked %s with the first free again", got)
	}
}
