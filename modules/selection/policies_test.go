package selection

import (
	"testing"

	"github.com/caddylb/caddy-lb/lb"
)

// everyPolicy makes one of each policy, by name, with seeded randomness.
func everyPolicy(t testing.TB) map[string]lb.Policy {
	t.Helper()
	random := seeded(1)
	hashing := Hashing{HashKey: "{http.request.uri.path}"}
	return map[string]lb.Policy{
		"random":               &Random{rand: random},
		"random_choose":        provisioned(t, &RandomChoose{Choose: 3, rand: random}),
		"first":                &First{},
		"round_robin":          &RoundRobin{},
		"weighted_round_robin": provisioned(t, &WeightedRoundRobin{Weights: allWeights()}),
		"least_conn":           &LeastConn{rand: random},
		"least_request":        provisioned(t, &LeastRequest{rand: random}),
		"least_latency":        &LeastLatency{rand: random},
		"ip_hash":              &IPHash{},
		"client_ip_hash":       &ClientIPHash{},
		"uri_hash":             &URIHash{},
		"query":                provisioned(t, &Query{QueryKey: "q"}),
		"header":               provisioned(t, &Header{Field: "X-User"}),
		"cookie":               provisioned(t, &Cookie{}),
		"sticky_header": provisioned(t, &StickyHeader{
			Field: "X-Backend", Stickiness: Stickiness{Format: FormatSigned, Secret: testSecret},
		}),
		"consistent": provisioned(t, &Consistent{Hashing: hashing}),
		"ketama":     provisioned(t, &Ketama{Consistent{KetamaCompat: KetamaNginx, Points: 40}}),
		"fnv_hash":   provisioned(t, &FNVHash{Hashing: hashing}),
		"maglev":     provisioned(t, &Maglev{Hashing: hashing}),
		"rendezvous": provisioned(t, &Rendezvous{Hashing: hashing}),
	}
}

// quickPolicies is everyPolicy with a small table for maglev, for tests that make many pools.
func quickPolicies(t testing.TB) map[string]lb.Policy {
	t.Helper()
	policies := everyPolicy(t)
	policies["maglev"] = provisioned(t, &Maglev{TableSize: 1009})
	return policies
}

// allWeights is a list of weights for weighted_round_robin that suits pools of any size under test.
func allWeights() []int {
	w := make([]int, 1000)
	for i := range w {
		w[i] = i%3 + 1
	}
	return w
}

// TestEveryPolicyHeedsTrials has a backend with its one request among those with room for any number: a first try that
// need not ask whether backends are full would take it.
func TestEveryPolicyHeedsTrials(t *testing.T) {
	for name, policy := range quickPolicies(t) {
		pool := lb.NewPoolWith("test", policy, lb.Options{MaxEjectionPercent: 50})
		busy, free := member(t, "10.0.0.1:81"), member(t, "10.0.0.1:82")
		busy.Ejection = new(trial)
		if err := pool.Update([]*lb.Member{busy, free}); err != nil {
			t.Fatal(err)
		}
		if m := pool.Snapshot().Members[0]; !m.Acquire() {
			t.Fatal("the trial has no place")
		}
		b := &bed{t: t, pool: pool}
		if got := b.count(100)["10.0.0.1:82"]; got != 100 {
			t.Errorf("%s: %d of 100 are on the backend with room", name, got)
		}
	}
}
