package selection

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/caddylb/caddy-lb/lb"
)

// boundedPolicies are the policies that bound loads, at a factor.
func boundedPolicies(t testing.TB, factor float64) map[string]lb.Policy {
	h := Hashing{BalanceFactor: factor}
	return map[string]lb.Policy{
		"consistent": provisioned(t, &Consistent{Hashing: h}),
		"fnv_hash":   provisioned(t, &FNVHash{Hashing: h}),
		"maglev":     provisioned(t, &Maglev{Hashing: h}),
		"rendezvous": provisioned(t, &Rendezvous{Hashing: h}),
	}
}

// TestBoundedLoadIsNeverExceeded keeps 500 requests under way whose keys are very unevenly popular, and looks
// at each new one: no backend is above ceil(factor × requests × share).
func TestBoundedLoadIsNeverExceeded(t *testing.T) {
	for _, factor := range []float64{1.1, 1.25, 2} {
		for name, policy := range boundedPolicies(t, factor) {
			for _, weights := range [][]int{{1}, {1, 2, 5}} {
				t.Run(fmt.Sprintf("%s/%v/%v", name, factor, weights), func(t *testing.T) {
					loadBounded(t, newBed(t, policy, servers(10, weights...)...), factor)
				})
			}
		}
	}
}

func loadBounded(t *testing.T, b *bed, factor float64) {
	zipf := rand.NewZipf(rand.New(rand.NewPCG(1, 2)), 1.1, 1, 1000)
	weight := float64(totalWeight(b.pool.Snapshot().Members))
	var underWay []*lb.Member
	most := 0.0
	for range 3000 {
		if len(underWay) == 500 {
			underWay[0].Release()
			underWay = underWay[1:]
		}
		m := b.pool.Snapshot().Pick(&lb.Pick{Key: fmt.Sprintf("/%d", zipf.Uint64())})
		occupy(t, m, 1)
		underWay = append(underWay, m)
		limit := math.Ceil(factor*float64(len(underWay))*float64(m.Weight)/weight - 1e-6)
		if own, _ := m.Load(); float64(own) > limit {
			t.Fatalf("%s has %d of %d requests, its limit is %v", m.Address(), own, len(underWay), limit)
		}
		most = max(most, float64(m.Active())/(float64(len(underWay))*float64(m.Weight)/weight))
	}
	if most < 1.05 {
		t.Errorf("the highest load was %.2f of the average: the keys were even and show nothing", most)
	}
}

// TestBoundedLoadMovesNothingBelowTheBound compares with the same policy without a bound, over keys that are
// as even as requests that come one at a time.
func TestBoundedLoadMovesNothingBelowTheBound(t *testing.T) {
	plain := everyPolicy(t)
	for name, policy := range boundedPolicies(t, 1000) {
		bounded, free := newBed(t, policy, servers(7, 1, 3)...), newBed(t, plain[name], servers(7, 1, 3)...)
		for i := range 500 {
			key := fmt.Sprintf("/%d", i)
			m := bounded.pool.Snapshot().Pick(&lb.Pick{Key: key})
			occupy(t, m, 1)
			if want := free.pick(key); m.Address().String() != want {
				t.Fatalf("%s: key %s on %s, unbounded on %s", name, key, m.Address(), want)
			}
		}
	}
}

// TestBoundedLoadPassesAKeyOnAlongItsOrder loads a key's owner: it goes where it would go with the owner down,
// and comes back when the owner has room.
func TestBoundedLoadPassesAKeyOnAlongItsOrder(t *testing.T) {
	plain := everyPolicy(t)
	for name, policy := range boundedPolicies(t, 1.5) {
		b, free := newBed(t, policy, servers(5)...), newBed(t, plain[name], servers(5)...)
		owner := b.find(b.pick("/popular"))
		free.set(false, owner.Address().String())
		next := free.pick("/popular")
		occupy(t, owner, 4)
		if got := b.pick("/popular"); got != next {
			t.Errorf("%s: %s with the owner loaded, want %s", name, got, next)
		}
		for range 4 {
			owner.Release()
		}
		if got := b.pick("/popular"); got != owner.Address().String() {
			t.Errorf("%s: %s with the owner idle again, want %s", name, got, owner.Address())
		}
	}
}

// TestBoundedLoadLeavesKeysWithTheirOwnersWhenAllAreLoaded has the load on backends that cannot be picked.
func TestBoundedLoadLeavesKeysWithTheirOwnersWhenAllAreLoaded(t *testing.T) {
	for name, policy := range boundedPolicies(t, 1.1) {
		b := newBed(t, policy, servers(3)...)
		owner := b.find(b.pick("/popular"))
		var others []*lb.Member
		for _, m := range b.pool.Snapshot().Members {
			if m.Backend != owner.Backend {
				others = append(others, m)
			}
		}
		occupy(t, owner, 50)
		if got := b.pick("/popular", others...); got != owner.Address().String() {
			t.Errorf("%s: %q with the others tried, want the owner", name, got)
		}
	}
}
