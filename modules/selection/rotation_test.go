package selection

import (
	"fmt"
	"slices"
	"strconv"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"github.com/caddylb/caddy-lb/lb"
)

// rotating are the policies whose picks go round the backends, with weights as the pool has them.
func rotating(t *testing.T, n int) map[string]lb.Policy {
	ones := make([]int, n)
	for i := range ones {
		ones[i] = 1
	}
	fallback := Stickiness{FallbackRaw: []byte(`{"policy":"round_robin"}`)}
	return map[string]lb.Policy{
		"round_robin":          &RoundRobin{},
		"weighted_round_robin": provisioned(t, &WeightedRoundRobin{Weights: ones}),
		"cookie":               provisioned(t, &Cookie{Stickiness: fallback}),
		"header":               provisioned(t, &Header{Field: "X-None", FallbackRaw: fallback.FallbackRaw}),
		"query":                provisioned(t, &Query{QueryKey: "none", FallbackRaw: fallback.FallbackRaw}),
	}
}

// failing is a pool some of whose backends fail every request, or are full.
type failing struct {
	*bed
	weights map[*lb.Backend]int
	bad     map[*lb.Backend]bool
	retries int

	firsts  []*lb.Backend
	seconds map[*lb.Backend][]*lb.Backend // by where the first try was
}

func drawFailing(t *testing.T, rt *rapid.T, policy lb.Policy, n int) *failing {
	weights := rapid.SliceOfN(rapid.IntRange(1, 6), n, n).Draw(rt, "weights")
	f := &failing{
		bed:     newBed(t, policy, servers(n, weights...)...),
		weights: make(map[*lb.Backend]int), bad: make(map[*lb.Backend]bool),
		seconds: make(map[*lb.Backend][]*lb.Backend),
	}
	for _, m := range f.pool.Snapshot().Members {
		f.weights[m.Backend] = m.Weight
		f.bad[m.Backend] = rapid.Bool().Draw(rt, "bad")
	}
	return f
}

// serve has a request tried until a backend is good, or its retries are used up. When all backends
// had it, they may have it again.
func (f *failing) serve() {
	r := request(f.t, "http://example.com/")
	var before *lb.Backend
	for try := 0; try <= f.retries; try++ {
		m := f.choose(r)
		if m == nil {
			r.Tried.Reset()
			m = f.choose(r)
		}
		switch try {
		case 0:
			f.firsts = append(f.firsts, m.Backend)
		case 1:
			f.seconds[before] = append(f.seconds[before], m.Backend)
		}
		if !f.bad[m.Backend] {
			return
		}
		r.Tried.Add(m.Backend)
		before = m.Backend
	}
}

// sharedExactly fails unless every window of picks gives each backend its weight, those left out
// none.
func (f *failing) sharedExactly(rt *rapid.T, what string, picks []*lb.Backend, without ...*lb.Backend) {
	weights := make(map[*lb.Backend]int)
	total, common := 0, uint64(0)
	for b, w := range f.weights {
		weights[b] = w
		common = gcd(uint64(w), common)
	}
	for _, b := range without {
		delete(weights, b)
	}
	for b := range weights {
		weights[b] /= int(common)
		total += weights[b]
	}
	for at := 0; at+total <= len(picks); at++ {
		count := make(map[*lb.Backend]int)
		for _, b := range picks[at : at+total] {
			count[b]++
		}
		for b, n := range count {
			if n != weights[b] {
				rt.Fatalf("%s: of %d from %d on %s has %d, want %d", what, total, at, b.Address(), n, weights[b])
			}
		}
	}
}

// Whatever fails, and however often it is tried again: first tries are shared as if nothing failed.
func TestRetriesTakeNoTurnsOfFirstTries(t *testing.T) {
	for name := range rotating(t, 1) {
		t.Run(name, func(t *testing.T) {
			rapid.Check(t, func(rt *rapid.T) {
				n := rapid.IntRange(1, 7).Draw(rt, "n")
				f := drawFailing(t, rt, rotating(t, n)[name], n)
				f.retries = rapid.IntRange(0, n+2).Draw(rt, "retries")
				for range 100 {
					f.serve()
				}
				f.sharedExactly(rt, "first tries", f.firsts)
			})
		})
	}
}

// Second tries are shared as exactly by the backends that the request was not given to, wherever it
// comes from.
func TestSecondTriesAreSharedByTheOthers(t *testing.T) {
	for name := range rotating(t, 1) {
		t.Run(name, func(t *testing.T) {
			rapid.Check(t, func(rt *rapid.T) {
				n := rapid.IntRange(2, 7).Draw(rt, "n")
				f := drawFailing(t, rt, rotating(t, n)[name], n)
				f.retries = 1
				for range 200 {
					f.serve()
				}
				for from, picks := range f.seconds {
					f.sharedExactly(rt, "second tries after "+from.Address().String(), picks, from)
				}
			})
		})
	}
}

// Each backend fails one request: the neighbour of none gets all their retries.
func TestFirstRetriesOfManyBackendsAreSpread(t *testing.T) {
	const n = 40
	b := newBed(t, &RoundRobin{}, servers(n)...)
	got := make(map[string]int)
	for _, m := range b.pool.Snapshot().Members {
		got[b.pick("", m)]++
	}
	for address, count := range got {
		if count > 6 {
			t.Errorf("%s has %d of %d retries", address, count, n)
		}
	}
}

// Copies for mirrors go round by themselves: with two backends, every request would else go to one,
// and every copy to the other.
func TestCopiesTakeNoTurnsOfRequests(t *testing.T) {
	b := newBed(t, &RoundRobin{}, "10.0.0.1:81", "10.0.0.1:82")
	requests, copies := "", ""
	for range 6 {
		requests += b.sequence(1)
		got := addressOf(b.pool.Snapshot().Pick(&lb.Pick{Aside: true}))
		copies += got[len(got)-1:]
	}
	windows(t, requests, 2, map[string]int{"1": 1, "2": 1})
	windows(t, copies, 2, map[string]int{"1": 1, "2": 1})
}

// full has backends of these weights, each with one place, of which the named ones are taken.
func full(t *testing.T, weights []int, taken ...int) (*lb.Pool, []*lb.Member) {
	return bounded(t, weights, func(_ int, m *lb.Member) { m.MaxRequests = 1 }, taken...)
}

// onTrial has backends of these weights, of which the named ones are on trial and have their
// request.
func onTrial(t *testing.T, weights []int, taken ...int) (*lb.Pool, []*lb.Member) {
	return bounded(t, weights, func(i int, m *lb.Member) {
		if slices.Contains(taken, i) {
			m.Ejection = new(trial)
		}
	}, taken...)
}

func bounded(t *testing.T, weights []int, bind func(int, *lb.Member), taken ...int) (*lb.Pool, []*lb.Member) {
	pool := lb.NewPoolWith("test", &RoundRobin{}, lb.Options{MaxEjectionPercent: 100})
	var members []*lb.Member
	for i, text := range servers(len(weights), weights...) {
		m := member(t, text)
		m.Position = i
		bind(i, m)
		members = append(members, m)
	}
	if err := pool.Update(members); err != nil {
		t.Fatal(err)
	}
	members = pool.Snapshot().Members
	for _, i := range taken {
		if !members[i].Acquire() {
			t.Fatalf("%s has no place", members[i].Address())
		}
	}
	return pool, members
}

// The turns of a backend that is full are lost. If the next one had them, it would have its own
// share and that one's.
func TestTurnsOfFullBackendsAreLost(t *testing.T) {
	for name, pool := range map[string]func(*testing.T, []int, ...int) (*lb.Pool, []*lb.Member){"full": full, "on trial": onTrial} {
		t.Run(name, func(t *testing.T) {
			pool, _ := pool(t, []int{5, 3, 1, 2}, 0)
			var picks string
			for range 60 {
				picks += strconv.Itoa(pool.Snapshot().Pick(&lb.Pick{}).Position)
			}
			windows(t, picks, 6, map[string]int{"1": 3, "2": 1, "3": 2})
		})
	}
}

// A request that finds no free place, and those that look again while they wait, leave the turn to
// the next one.
func TestPicksOfNobodyTakeNoTurn(t *testing.T) {
	for looks := range 4 {
		pool, members := full(t, []int{1, 1}, 0, 1)
		var picks string
		for range 8 {
			for range looks {
				if m := pool.Snapshot().Pick(&lb.Pick{}); m != nil {
					t.Fatalf("%s was picked, and is full", m.Address())
				}
			}
			for i := range members {
				members[i].Release()
			}
			got := pool.Snapshot().Pick(&lb.Pick{})
			picks += strconv.Itoa(got.Position)
			for i := range members {
				members[i].Acquire()
			}
		}
		windows(t, picks, 2, map[string]int{"0": 1, "1": 1})
	}
}

// Many at once share exactly where backends have limits, too.
func TestLimitedRoundRobinSharesUnderConcurrency(t *testing.T) {
	weights := []int{5, 3, 1}
	pool, members := full(t, weights)
	for _, m := range members {
		m.MaxRequests = 1000
	}
	if err := pool.Update(members); err != nil {
		t.Fatal(err)
	}
	const workers, each = 8, 900
	var mu sync.Mutex
	got := make(map[*lb.Backend]int)
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			own := make(map[*lb.Backend]int)
			for range each {
				own[pool.Snapshot().Pick(&lb.Pick{}).Backend]++
			}
			mu.Lock()
			defer mu.Unlock()
			for b, n := range own {
				got[b] += n
			}
		})
	}
	wg.Wait()
	for i, m := range members {
		if want := workers * each * weights[i] / 9; got[m.Backend] != want {
			t.Errorf("%s has %d picks, want %d", m.Address(), got[m.Backend], want)
		}
	}
}

// When the next backend in the rotation that will do is far away, one is drawn, by weight.
func TestBackendsFarAwayInTheRotationShareByWeight(t *testing.T) {
	for _, heavy := range []int{3000, 1 << 20} {
		b := newBed(t, &RoundRobin{}, fmt.Sprintf("10.0.0.1:81 %d", heavy), fmt.Sprintf("10.0.0.1:82 %d", heavy),
			"10.0.0.1:83 3", "10.0.0.1:84 1")
		const n = 4000
		three := 0
		for range n {
			switch got := b.pick("", b.find("10.0.0.1:81"), b.find("10.0.0.1:82")); got {
			case "10.0.0.1:83":
				three++
			case "10.0.0.1:84":
			default:
				t.Fatalf("picked %q", got)
			}
		}
		near(t, "the heavier one of the rest", three, n, 0.75)
	}
}
