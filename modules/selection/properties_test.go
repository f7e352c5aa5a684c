package selection

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/caddylb/caddy-lb/lb"
)

// scene is a pool in a random state: weights, priorities, health, drains, trials, full backends and tried ones.
type scene struct {
	snapshot *lb.Snapshot
	tried    map[*lb.Backend]bool
}

// drawScene makes a pool under policy.
func drawScene(t *rapid.T, tb testing.TB, policy lb.Policy) scene {
	n := rapid.IntRange(1, 12).Draw(t, "n")
	pool := lb.NewPoolWith("test", policy, lb.Options{MaxEjectionPercent: 100})
	var members []*lb.Member
	for i := range n {
		m := member(tb, fmt.Sprintf("10.0.0.%d:80", i+1))
		m.Position = rapid.IntRange(0, n-1).Draw(t, "position")
		m.Weight = rapid.SampledFrom([]int{0, 1, 1, 2, 7, 300}).Draw(t, "weight")
		m.Priority = rapid.IntRange(0, 1).Draw(t, "priority")
		m.SetDrained(rapid.IntRange(0, 9).Draw(t, "drained") == 0, time.Time{})
		h := new(health)
		h.down.Store(rapid.IntRange(0, 3).Draw(t, "down") == 0)
		m.Conditions = []lb.Condition{h}
		if rapid.IntRange(0, 3).Draw(t, "limited") == 0 {
			m.MaxRequests = 1
		}
		if rapid.IntRange(0, 5).Draw(t, "on trial") == 0 {
			m.Ejection = new(trial)
			if rapid.Bool().Draw(t, "taken") {
				m.Ejection.Trial().Take()
			}
		}
		if rapid.Bool().Draw(t, "busy") {
			m.Acquire()
		}
		members = append(members, m)
	}
	if err := pool.Update(members); err != nil {
		t.Fatal(err)
	}
	s := scene{snapshot: pool.Snapshot(), tried: make(map[*lb.Backend]bool)}
	for _, m := range members {
		if rapid.IntRange(0, 3).Draw(t, "tried") == 0 {
			s.tried[m.Backend] = true
		}
	}
	return s
}

// acceptable lists the members of a tier that may be returned.
func (s scene) acceptable(tier *lb.Tier) []*lb.Member {
	return slices.DeleteFunc(slices.Clone(tier.Selectable), func(m *lb.Member) bool {
		return s.tried[m.Backend] || m.Full()
	})
}

// TestEveryPolicyPicksOnlyWhatItMay has each policy pick in random scenes: what it returns is acceptable, and
// it returns something whenever there is something.
func TestEveryPolicyPicksOnlyWhatItMay(t *testing.T) {
	policies := quickPolicies(t)
	for _, factor := range []float64{1.1, 2} {
		for name, policy := range boundedPolicies(t, factor) {
			if name == "maglev" {
				policy = provisioned(t, &Maglev{TableSize: 1009, Hashing: Hashing{BalanceFactor: factor}})
			}
			policies[fmt.Sprintf("%s bounded %v", name, factor)] = policy
		}
	}
	for name, policy := range policies {
		t.Run(name, func(t *testing.T) {
			rapid.Check(t, func(rt *rapid.T) {
				s := drawScene(rt, t, policy)
				for range 5 {
					r := request(t, rapid.SampledFrom([]string{"http://example.com/", "http://example.com/?q=1"}).Draw(rt, "url"))
					r.Key = rapid.String().Draw(rt, "key")
					for b := range s.tried {
						r.Tried.Add(b)
					}
					checkTiers(rt, s, r)
				}
			})
		})
	}
}

func checkTiers(t *rapid.T, s scene, r *Request) {
	for _, tier := range s.snapshot.Tiers {
		want, got := s.acceptable(tier), pick(tier.Picker, r)
		switch {
		case got == nil && len(want) > 0:
			t.Fatalf("nothing picked of %d acceptable members", len(want))
		case got != nil && !slices.Contains(want, got):
			t.Fatalf("picked %s, which is not acceptable", got.Address())
		}
	}
}

// hashPolicies are the policies that pick by key alone.
var hashPolicies = []string{
	"ip_hash", "client_ip_hash", "uri_hash", "consistent", "ketama", "fnv_hash", "maglev", "rendezvous",
}

// TestHashPoliciesMoveOnlyTheLostOwnersKeys takes backends down one after another: no key moves but those of
// the one that went, and all are back when it is.
func TestHashPoliciesMoveOnlyTheLostOwnersKeys(t *testing.T) {
	policies := quickPolicies(t)
	for _, name := range hashPolicies {
		t.Run(name, func(t *testing.T) {
			rapid.Check(t, func(rt *rapid.T) {
				n := rapid.IntRange(2, 8).Draw(rt, "n")
				weights := rapid.SliceOfN(rapid.IntRange(1, 6), 1, 4).Draw(rt, "weights")
				b := newBed(t, policies[name], servers(n, weights...)...)
				states := [][]string{b.owners(200)}
				order := rapid.Permutation(b.pool.Snapshot().Members).Draw(rt, "order")
				for _, m := range order[:n-1] {
					b.set(false, m.Address().String())
					before, after := states[len(states)-1], b.owners(200)
					onlyMoved(rt, before, after, m.Address().String())
					states = append(states, after)
				}
				for i, m := range slices.Backward(order[:n-1]) {
					b.set(true, m.Address().String())
					if !slices.Equal(b.owners(200), states[i]) {
						rt.Fatalf("with %s back keys are elsewhere than before", m.Address())
					}
				}
			})
		})
	}
}

// onlyMoved fails unless exactly the keys of lost have another owner after.
func onlyMoved(t *rapid.T, before, after []string, lost string) {
	for i := range before {
		if moved, had := before[i] != after[i], before[i] == lost; moved != had {
			t.Fatalf("key %d: %s, then %s with %s down", i, before[i], after[i], lost)
		}
	}
}

// TestHashPoliciesIgnoreTheOrderWritten gives pools the same servers in another order.
func TestHashPoliciesIgnoreTheOrderWritten(t *testing.T) {
	policies := everyPolicy(t)
	for _, name := range hashPolicies {
		list := servers(9, 1, 2, 5)
		want := newBed(t, policies[name], list...).owners(300)
		slices.Reverse(list)
		if !slices.Equal(newBed(t, policies[name], list...).owners(300), want) {
			t.Errorf("%s: keys depend on the order of the configuration", name)
		}
	}
}

// TestHashPoliciesFollowAChangedSet compares a pool that was changed with one made new of the same servers.
func TestHashPoliciesFollowAChangedSet(t *testing.T) {
	policies := everyPolicy(t)
	for _, name := range hashPolicies {
		b := newBed(t, policies[name], servers(3)...)
		for _, set := range [][]string{servers(5), servers(5, 3, 1), servers(2, 2)} {
			b.update(set...)
			if !slices.Equal(b.owners(300), newBed(t, policies[name], set...).owners(300)) {
				t.Errorf("%s: keys of %v depend on the set before", name, set)
			}
		}
	}
}

// TestMaxIterationsOfOneLooksAtTheOwnerAlone leaves a lost owner's keys without a backend, and no others.
func TestMaxIterationsOfOneLooksAtTheOwnerAlone(t *testing.T) {
	one := Hashing{MaxIterations: 1}
	for name, policy := range map[string]lb.Policy{
		"consistent": provisioned(t, &Consistent{Hashing: one}),
		"fnv_hash":   provisioned(t, &FNVHash{Hashing: one}),
		"maglev":     provisioned(t, &Maglev{Hashing: one}),
		"rendezvous": provisioned(t, &Rendezvous{Hashing: one}),
	} {
		b := newBed(t, policy, servers(4, 1, 2)...)
		want := b.owners(200)
		lost := want[0]
		b.set(false, lost)
		for i, got := range b.owners(200) {
			if want[i] == lost {
				want[i] = ""
			}
			if got != want[i] {
				t.Fatalf("%s: key %d on %q with %s down, want %q", name, i, got, lost, want[i])
			}
		}
	}
}

// TestPoolsWithNothingToPick has every backend drained: there is no pick, and no panic.
func TestPoolsWithNothingToPick(t *testing.T) {
	for name, policy := range everyPolicy(t) {
		b := newBed(t, policy, servers(3, 0)...)
		if m := b.choose(request(t, "http://example.com/")); m != nil {
			t.Errorf("%s picked %s, of weight 0", name, m.Address())
		}
	}
}

// TestTiersSpillOver uses a higher tier when the lower one has nothing left, for every policy.
func TestTiersSpillOver(t *testing.T) {
	for name, policy := range everyPolicy(t) {
		b := newBed(t, policy, "10.0.0.1:81 1 0", "10.0.0.1:82 1 1")
		if got := addressOf(b.choose(request(t, "http://example.com/"))); got != "10.0.0.1:81" {
			t.Errorf("%s: %s, want the first tier", name, got)
		}
		b.set(false, "10.0.0.1:81")
		if got := addressOf(b.choose(request(t, "http://example.com/"))); got != "10.0.0.1:82" {
			t.Errorf("%s: %s with the first tier down", name, got)
		}
	}
}

// TestPicksDoNotAllocate holds for a first try and for a retry, of every policy. The sticky policies have what they
// gave the client before: to give it takes memory.
func TestPicksDoNotAllocate(t *testing.T) {
	policies := everyPolicy(t)
	for name, policy := range boundedPolicies(t, 1.25) {
		policies[name+" bounded"] = policy
	}
	policies["cookie signed"] = provisioned(t, &Cookie{Stickiness: Stickiness{Format: FormatSigned, Secret: testSecret}})
	policies["header with fallback"] = provisioned(t, &Header{Field: "X-None"})
	for name, policy := range policies {
		b := newBed(t, policy, servers(50, 1, 3)...)
		snapshot := b.pool.Snapshot()
		r := request(t, "http://example.com/some/path?q=1")
		r.HTTP.Header.Set("X-User", "someone")
		r.HTTP.Header.Set("X-Backend", stickyName(FormatSigned, testSecret, snapshot.Members[7].Address().String()))
		r.HTTP.Header.Set("Cookie", "lb="+stickyName("", "", snapshot.Members[7].Address().String())+
			"; lb="+stickyName(FormatSigned, testSecret, snapshot.Members[7].Address().String()))
		k, _ := policy.(Keyer)
		try := func() {
			if k != nil {
				r.Key = k.Key(r.HTTP, r.Replacer)
			}
			if Choose(snapshot, r) == nil {
				t.Fatalf("%s: no pick", name)
			}
		}
		if n := testing.AllocsPerRun(100, try); n != 0 {
			t.Errorf("%s: %v allocations a pick", name, n)
		}
		r.Tried.Add(snapshot.Members[3].Backend)
		if n := testing.AllocsPerRun(100, try); n != 0 {
			t.Errorf("%s: %v allocations a retry", name, n)
		}
	}
}
