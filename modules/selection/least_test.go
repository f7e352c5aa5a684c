package selection

import (
	"testing"

	"github.com/caddylb/caddy-lb/lb"
)

// occupy has a member serve n more requests.
func occupy(t testing.TB, m *lb.Member, n int) {
	t.Helper()
	for range n {
		if !m.Acquire() {
			t.Fatal("no place")
		}
	}
}

func leastPolicies() map[string]lb.Policy {
	return map[string]lb.Policy{
		"least_conn":      &LeastConn{rand: seeded(3)},
		"least_request":   &LeastRequest{rand: seeded(3)},
		"least_request 3": &LeastRequest{Choices: 3, rand: seeded(3)},
		"random_choose":   &RandomChoose{Choose: 2, rand: seeded(3)},
	}
}

// TestLeastPicksTheLessLoadedOfTwo is where stock's random_choose takes a backend of 100 requests as often as
// one of 3.
func TestLeastPicksTheLessLoadedOfTwo(t *testing.T) {
	for name, policy := range leastPolicies() {
		b := newBed(t, policy, "10.0.0.1:81", "10.0.0.1:82")
		occupy(t, b.find("10.0.0.1:81"), 100)
		occupy(t, b.find("10.0.0.1:82"), 3)
		if got := b.count(1000); got["10.0.0.1:82"] != 1000 {
			t.Errorf("%s: %v, want all on the less loaded", name, got)
		}
	}
}

func TestLeastComparesLoadByWeight(t *testing.T) {
	for name, policy := range leastPolicies() {
		b := newBed(t, policy, "10.0.0.1:81 10", "10.0.0.1:82 1")
		occupy(t, b.find("10.0.0.1:81"), 5)
		occupy(t, b.find("10.0.0.1:82"), 1)
		if got := b.count(1000); got["10.0.0.1:81"] != 1000 {
			t.Errorf("%s: %v, want all on the heavier, which has less load by weight", name, got)
		}
	}
}

func TestLeastSharesAnIdlePoolByWeight(t *testing.T) {
	for name, policy := range leastPolicies() {
		b := newBed(t, policy, "10.0.0.1:81 6", "10.0.0.1:82 3", "10.0.0.1:83 1")
		got := b.count(draws)
		near(t, name+" weight 6", got["10.0.0.1:81"], draws, 0.6)
		near(t, name+" weight 3", got["10.0.0.1:82"], draws, 0.3)
		near(t, name+" weight 1", got["10.0.0.1:83"], draws, 0.1)
	}
}

// TestLeastRequestDrawsDistinctBackends has one of n backends busier than the others. It is picked only when
// it is both choices, so never.
func TestLeastRequestDrawsDistinctBackends(t *testing.T) {
	b := newBed(t, &LeastRequest{rand: seeded(4)}, servers(3)...)
	busy := b.pool.Snapshot().Members[0]
	occupy(t, busy, 1)
	got := b.count(draws)
	if n := got[busy.Address().String()]; n != 0 {
		t.Errorf("the busy one was picked %d times", n)
	}
	near(t, "one of the idle", got["10.0.0.2:80"], draws, 0.5)
}

// TestLeastRequestIsUnbiasedInItsSecondDraw ranks five backends by load: of two distinct ones the least loaded
// is the i-th with probability (4-i)/10.
func TestLeastRequestIsUnbiasedInItsSecondDraw(t *testing.T) {
	b := newBed(t, &LeastRequest{rand: seeded(5)}, servers(5)...)
	members := b.pool.Snapshot().Members
	for i, m := range members {
		occupy(t, m, i)
	}
	got := b.count(draws)
	for i, m := range members {
		near(t, "rank "+m.Address().String(), got[m.Address().String()], draws, float64(4-i)/10)
	}
}

// TestLeastRequestBalancesBetterThanChance keeps a fixed number of requests under way and compares the fullest
// backend under one choice and two.
func TestLeastRequestBalancesBetterThanChance(t *testing.T) {
	fullest := func(policy lb.Policy) int {
		b := newBed(t, policy, servers(100)...)
		most := 0
		for range 1000 {
			m := b.pool.Snapshot().Pick(&lb.Pick{})
			occupy(t, m, 1)
			most = max(most, m.Active())
		}
		return most
	}
	one, two := fullest(&Random{rand: seeded(6)}), fullest(&LeastRequest{rand: seeded(6)})
	if all := fullest(&LeastConn{rand: seeded(6)}); all != 10 {
		t.Errorf("least_conn fills one to %d, want 10", all)
	}
	if two > 13 || one < 17 {
		t.Errorf("fullest: %d with one choice, %d with two", one, two)
	}
}

func TestLeastRequestWithManyChoicesLooksAtAll(t *testing.T) {
	b := newBed(t, &LeastRequest{Choices: maxChoices + 1, rand: seeded(9)}, servers(200)...)
	for i, m := range b.pool.Snapshot().Members {
		occupy(t, m, 1+(i+100)%200)
	}
	want := b.pool.Snapshot().Members[100].Address().String()
	if got := b.count(100); got[want] != 100 {
		t.Errorf("%v, want all on %s", got, want)
	}
}

// TestSamplerDrawsWhatIsLeft draws as many members as there are, of weights that make most draws fail.
func TestSamplerDrawsWhatIsLeft(t *testing.T) {
	b := newBed(t, &LeastRequest{rand: seeded(2)}, servers(20, 1, 1, 1, 1000000)...)
	s := &b.pool.Snapshot().Tiers[0].Picker.(*leastPicker).sampler
	var drawn []int32
	seen := make(map[int]bool)
	for range 20 {
		i := s.draw(&lb.Pick{}, drawn)
		if i < 0 || seen[i] {
			t.Fatalf("drew %d after %v", i, drawn)
		}
		seen[i], drawn = true, append(drawn, int32(i))
	}
	if i := s.draw(&lb.Pick{}, drawn); i != -1 {
		t.Errorf("drew %d of none left", i)
	}
}
