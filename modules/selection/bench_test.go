package selection

import (
	"fmt"
	"strconv"
	"testing"
)

// benchKeys are the keys of requests, of the length of a path.
func benchKeys() []string {
	keys := make([]string, 1024)
	for i := range keys {
		keys[i] = "/some/path/" + strconv.Itoa(i)
	}
	return keys
}

func BenchmarkPick(b *testing.B) {
	keys := benchKeys()
	policies := everyPolicy(b)
	policies["round_robin_weighted"] = &RoundRobin{}
	policies["rendezvous_weighted"] = provisioned(b, &Rendezvous{})
	policies["maglev_bounded"] = provisioned(b, &Maglev{Hashing: Hashing{BalanceFactor: 1.25}})
	policies["random"], policies["least_request"] = &Random{}, &LeastRequest{}
	policies["random_choose"], policies["least_conn"], policies["least_latency"] = &RandomChoose{Choose: 3}, &LeastConn{}, &LeastLatency{}
	for _, name := range sorted(policies) {
		for _, n := range []int{3, 100, 1000} {
			b.Run(fmt.Sprintf("%s/%d", name, n), func(b *testing.B) {
				var weights []int
				if name == "round_robin_weighted" || name == "rendezvous_weighted" {
					weights = []int{5, 3, 1}
				}
				snapshot := newBed(b, policies[name], servers(n, weights...)...).pool.Snapshot()
				r := request(b, "http://example.com/?q=1")
				r.HTTP.Header.Set("X-User", "someone")
				r.HTTP.Header.Set("X-Backend", stickyName(FormatSigned, testSecret, snapshot.Members[n/2].Address().String()))
				r.HTTP.Header.Set("Cookie", "lb="+stickyName("", "", snapshot.Members[n/2].Address().String()))
				b.ReportAllocs()
				i := 0
				for b.Loop() {
					i++
					r.Key = keys[i%len(keys)]
					if Choose(snapshot, r) == nil {
						b.Fatal("no pick")
					}
				}
			})
		}
	}
}

// BenchmarkNewPicker is the cost of a snapshot off the request path, for a new set of backends.
func BenchmarkNewPicker(b *testing.B) {
	policies := everyPolicy(b)
	for _, name := range sorted(policies) {
		for _, n := range []int{10, 1000} {
			b.Run(fmt.Sprintf("%s/%d", name, n), func(b *testing.B) {
				tier := newBed(b, policies[name], servers(n, 50, 30, 7)...).pool.Snapshot().Tiers[0]
				for b.Loop() {
					if _, err := policies[name].NewPicker(tier, nil); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
