package selection

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/caddylb/caddy-lb/lb"
)

// simulation is an open queueing system: requests arrive at random (a Poisson process), are given to servers by
// a policy, and wait there in the order they came while one is being served. Events happen one after another on
// a clock of its own, so that a run is the same every time and takes no time but the computing.
type simulation struct {
	policy   maker
	servers  []server
	rate     float64 // requests a second
	requests int     // that are counted; a tenth as many come before them
}

// maker makes the policy under test.
type maker func(random func() uint64, now func() time.Duration) lb.Policy

// server is how one of them serves.
type server struct {
	mean   time.Duration // of an exponentially distributed time
	broken bool          // every request fails, after exactly mean
}

// penalty is the time that a failed request counts as, the handler's default.
const penalty = 5 * time.Second

// never is when a server without a request answers.
const never = time.Duration(math.MaxInt64)

// queue is a server with the requests it has.
type queue struct {
	server
	member  *lb.Member
	arrived []time.Duration // first come, first served
	ends    time.Duration   // when the first of them is answered
}

// outcome is what clients saw.
type outcome struct {
	times    quantiles // from arrival to answer, of requests that did not fail
	failures float64   // share of all
}

func (s simulation) run(t testing.TB) *outcome {
	t.Helper()
	const seed = 1
	now := time.Hour
	policy := s.policy(seeded(seed), func() time.Duration { return now })
	snapshot, pick := newBed(t, policy, servers(len(s.servers))...).pool.Snapshot(), new(lb.Pick)
	random := rand.New(rand.NewPCG(seed, 1))
	queues := make([]queue, len(s.servers))
	for i, m := range snapshot.Members {
		queues[i] = queue{server: s.servers[i], member: m, ends: never}
	}

	got := new(outcome)
	counted, failed := 0, 0
	arrival, warmUp := now, s.requests/10
	for n := 0; n < warmUp+s.requests; {
		first := &queues[0]
		for i := range queues {
			if queues[i].ends < first.ends {
				first = &queues[i]
			}
		}
		if arrival < first.ends {
			now = arrival
			m := snapshot.Pick(pick)
			m.Acquire()
			queues[m.Index()].arrive(now, random)
			arrival += time.Duration(random.ExpFloat64() / s.rate * float64(time.Second))
			n++
			continue
		}
		now = first.ends
		took := first.answer(now, random)
		switch {
		case n <= warmUp:
		case first.broken:
			counted, failed = counted+1, failed+1
		default:
			counted++
			got.times.add(took)
		}
	}
	got.failures = float64(failed) / float64(counted)
	return got
}

// arrive puts a request at the end.
func (q *queue) arrive(now time.Duration, random *rand.Rand) {
	if q.arrived = append(q.arrived, now); len(q.arrived) == 1 {
		q.serve(now, random)
	}
}

// serve begins with the first request.
func (q *queue) serve(now time.Duration, random *rand.Rand) {
	took := q.mean
	if !q.broken {
		took = time.Duration(random.ExpFloat64() * float64(q.mean))
	}
	q.ends = now + took
}

// answer ends the first request and returns how long its client waited.
func (q *queue) answer(now time.Duration, random *rand.Rand) time.Duration {
	took := now - q.arrived[0]
	q.arrived = q.arrived[1:]
	q.member.Release()
	if q.broken {
		q.member.Failed(penalty, now)
	} else {
		q.member.Latency().Observe(took, now)
	}
	if q.ends = never; len(q.arrived) > 0 {
		q.serve(now, random)
	}
	return took
}

// quantiles counts durations in bins of a thousandth of their size.
type quantiles struct {
	bins  [1 << 15]int
	total int
}

const binWidth = 0.001 // of the natural logarithm

func (q *quantiles) add(d time.Duration) {
	q.bins[int(math.Log(float64(max(d, 1)))/binWidth)]++
	q.total++
}

// at is the duration below which the share p of them lies.
func (q *quantiles) at(p float64) time.Duration {
	rest := int(p * float64(q.total))
	for i, n := range &q.bins {
		if rest -= n; rest < 0 {
			return time.Duration(math.Exp((float64(i) + 0.5) * binWidth))
		}
	}
	return never
}

// The policies under their names, with what a simulation has them read.
var (
	simRandom maker = func(random func() uint64, _ func() time.Duration) lb.Policy { return &Random{rand: random} }
	simTurns  maker = func(func() uint64, func() time.Duration) lb.Policy { return &RoundRobin{} }
	simTwo    maker = func(random func() uint64, _ func() time.Duration) lb.Policy { return &LeastRequest{rand: random} }
	simLeast  maker = func(random func() uint64, _ func() time.Duration) lb.Policy { return &LeastConn{rand: random} }
	simEWMA   maker = func(random func() uint64, now func() time.Duration) lb.Policy {
		return &LeastLatency{rand: random, now: now}
	}
)

// tenServers have a mean service time of 10 ms, but for the fourth.
func tenServers(fourth server) []server {
	all := make([]server, 10)
	for i := range all {
		all[i].mean = 10 * time.Millisecond
	}
	all[3] = fourth
	return all
}

// scaled is the number of requests and the tolerance of a simulation, less and wider where time is short or, under
// the race detector, long: nothing in a simulation happens at the same time.
func scaled(requests int, tolerance float64) (int, float64) {
	if testing.Short() || raceEnabled {
		return min(requests, 500_000), 4 * tolerance
	}
	return requests, tolerance
}

// within fails unless got is want, but for a relative tolerance.
func within(t *testing.T, what string, got, want, tolerance float64) {
	t.Helper()
	t.Logf("%s: %.4g, reference %.4g (%+.1f %%)", what, got, want, 100*(got/want-1))
	if math.Abs(got/want-1) > tolerance {
		t.Errorf("%s: %.4g, want %.4g to within %.0f %%", what, got, want, 100*tolerance)
	}
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// TestSimulatedQueuesOfEqualServers has ten servers at a utilisation of 0.9. What queueing theory says exactly
// is held as well: each server is an M/M/1 queue under random, whose 99th percentile is ln(100) / (μ - λ), and
// an E10/M/1 queue in turns, where it is ln(100) / (μ (1 - σ)) with σ = (9 / (10 - σ))^10.
func TestSimulatedQueuesOfEqualServers(t *testing.T) {
	for _, c := range []struct {
		name     string
		policy   maker
		requests int // at random a server's queue goes up and down slowly, so that it takes the most to average out
		p99      float64
		exact    float64
	}{
		{"random", simRandom, 16e6, 444, 460.5},
		{"round_robin", simTurns, 6e6, 266, 260.6},
		{"least_request", simTwo, 2e6, 105, 0},
		{"least_conn", simLeast, 1e6, 79, 0},
		{"least_latency", simEWMA, 1e6, 81, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			requests, tolerance := scaled(c.requests, 0.05)
			s := simulation{c.policy, tenServers(server{mean: 10 * time.Millisecond}), 900, requests}
			p99 := milliseconds(s.run(t).times.at(0.99))
			within(t, "p99 in ms", p99, c.p99, tolerance)
			if c.exact > 0 {
				within(t, "p99 in ms by theory", p99, c.exact, tolerance)
			}
		})
	}
}

// TestSimulatedQueuesWithASlowServer makes one of ten servers ten times slower, at half of what they can do together.
func TestSimulatedQueuesWithASlowServer(t *testing.T) {
	for _, c := range []struct {
		name      string
		policy    maker
		p99, p999 float64
	}{
		{"least_request", simTwo, 198, 562},
		{"least_conn", simLeast, 81, 339},
		{"least_latency", simEWMA, 48, 76},
	} {
		t.Run(c.name, func(t *testing.T) {
			requests, tolerance := scaled(2e6, 0.05)
			s := simulation{c.policy, tenServers(server{mean: 100 * time.Millisecond}), 0.5 * (9*100 + 10), requests}
			times := &s.run(t).times
			within(t, "p99 in ms", milliseconds(times.at(0.99)), c.p99, tolerance)
			within(t, "p99.9 in ms", milliseconds(times.at(0.999)), c.p999, tolerance)
		})
	}
}

// TestSimulatedQueuesWithABlackHole has one of ten servers fail every request after 0.1 ms, at half of what they
// could do if it worked. Under least_latency it is asked again each time that its average has come down from the
// penalty to what the others cost at their cheapest, about every 10 s × ln(5 s / 0.12 s) = 37 s, so that its share
// is that of one request in those that come meanwhile. It is held to ±0.003 percentage points: nobody minds
// whether it is 0.004 or 0.01 %, but it must not be 0, or a repaired server would never be found.
func TestSimulatedQueuesWithABlackHole(t *testing.T) {
	hole := tenServers(server{mean: 100 * time.Microsecond, broken: true})
	for _, c := range []struct {
		name    string
		policy  maker
		percent float64
	}{
		{"round_robin", simTurns, 10},
		{"least_request", simTwo, 14.8},
		{"least_conn", simLeast, 19},
	} {
		t.Run(c.name, func(t *testing.T) {
			requests, tolerance := scaled(1e6, 0.05)
			got := simulation{c.policy, hole, 500, requests}.run(t)
			within(t, "failures in %", 100*got.failures, c.percent, tolerance)
		})
	}
	t.Run("least_latency", func(t *testing.T) {
		percent := 100 * simulation{simEWMA, hole, 500, 1e6}.run(t).failures
		t.Logf("failures in %%: %.4f, reference 0.007", percent)
		if math.Abs(percent-0.007) > 0.003 {
			t.Errorf("%.4f %% fail, want 0.007 ± 0.003", percent)
		}
	})
}
