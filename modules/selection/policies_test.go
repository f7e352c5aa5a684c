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
		"consistent":           provisioned(t, &Consistent{Hashing: hashing}),
		"ketama":               provisioned(t, &Ketama{Consistent{KetamaCompat: KetamaNginx, Points: 40}}),
		"fnv_hash":             provisioned(t, &FNVHash{Hashing: hashing}),
		"maglev":               provisioned(t, &Maglev{Hashing: hashing}),
		"rendezvous":           provisioned(t, &Rendezvous{Hashing: hashing}),
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
