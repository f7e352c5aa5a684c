package selection

import (
	"math"
	"testing"
	"time"

	"github.com/caddylb/caddy-lb/lb"
)

// rampBed is a pool of members of weight 1 and 3 to which one of weight 2 has come that starts slowly: with the
// shares 1, 3 and 1 it is half-way through its 30 s, at the age of 15 s.
func rampBed(t *testing.T, policy lb.Policy, age time.Duration) *bed {
	t.Helper()
	now := time.Hour
	b := &bed{t: t, health: make(map[string]*health)}
	b.pool = lb.NewPoolWith("test", policy, lb.Options{SlowStart: 30 * time.Second, Now: func() time.Duration { return now }})
	b.pool.Close() // no steps but those of the test
	b.update("10.0.0.1:81 1", "10.0.0.1:82 3")
	b.update("10.0.0.1:81 1", "10.0.0.1:82 3", "10.0.0.1:83 2")
	now += age
	b.set(true)
	return b
}

// sharing are the policies that give out requests by share, with a pool at rest.
func sharing(t *testing.T) map[string]lb.Policy {
	policies := leastPolicies()
	policies["random"] = &Random{rand: seeded(21)}
	policies["least_latency"] = &LeastLatency{rand: seeded(22)}
	policies["round_robin"] = &RoundRobin{}
	policies["weighted_round_robin"] = provisioned(t, &WeightedRoundRobin{Weights: []int{1, 1, 1}})
	return policies
}

// TestSlowStartSharesAnIdlePoolByTheRamp takes Envoy's formula at some ages: the age / 30 s, and 0.1 at least.
func TestSlowStartSharesAnIdlePoolByTheRamp(t *testing.T) {
	for age, part := range map[time.Duration]float64{0: 0.1, 12 * time.Second: 0.4, 15 * time.Second: 0.5, 30 * time.Second: 1} {
		for name, policy := range sharing(t) {
			b := rampBed(t, policy, age)
			near(t, name+" at "+age.String(), b.count(draws)["10.0.0.1:83"], draws, 2*part/(4+2*part))
		}
	}
}

// TestSlowStartKeepsTurnsExact holds the round robin policies to the shares in every window.
func TestSlowStartKeepsTurnsExact(t *testing.T) {
	windows(t, rampBed(t, &RoundRobin{}, 15*time.Second).sequence(60), 5, map[string]int{"1": 1, "2": 3, "3": 1})
	weighted := provisioned(t, &WeightedRoundRobin{Weights: []int{3, 1, 2}})
	windows(t, rampBed(t, weighted, 15*time.Second).sequence(80), 8, map[string]int{"1": 3, "2": 3, "3": 2})
}

// TestSlowStartSharesWhatIsUnderWay gives out requests that do not end: what each member has comes to be in the
// proportion of the shares, to one request where all members are compared.
func TestSlowStartSharesWhatIsUnderWay(t *testing.T) {
	const requests = 500
	policies := leastPolicies()
	policies["least_latency"] = &LeastLatency{rand: seeded(23), now: func() time.Duration { return time.Hour }}
	for name, policy := range policies {
		b := rampBed(t, policy, 15*time.Second)
		for _, m := range b.pool.Snapshot().Members {
			m.Latency().Observe(10*time.Millisecond, time.Hour)
		}
		for range requests {
			occupy(t, b.pool.Snapshot().Pick(&lb.Pick{}), 1)
		}
		slack := 1.0
		if name == "least_request" || name == "random_choose" {
			slack = 0.03 * requests // two of three are compared
		}
		if got := float64(b.find("10.0.0.1:83").Active()); math.Abs(got-requests/5) > slack {
			t.Errorf("%s: %v of %d are on the ramping member, want %d ± %v", name, got, requests, requests/5, slack)
		}
	}
}

// TestSlowStartMovesNoKeys has keys where they are without it.
func TestSlowStartMovesNoKeys(t *testing.T) {
	policies := quickPolicies(t)
	for _, name := range hashPolicies {
		ramping, whole := rampBed(t, policies[name], time.Second), rampBed(t, policies[name], time.Hour)
		want := whole.owners(300)
		for i, got := range ramping.owners(300) {
			if got != want[i] {
				t.Fatalf("%s: key %d on %s, and on %s when the ramp is over", name, i, got, want[i])
			}
		}
	}
}
