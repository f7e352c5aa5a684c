package selection

import (
	"testing"
)

func TestRendezvousSharesByWeight(t *testing.T) {
	for name, weights := range map[string][]int{"equal": {1, 1, 1, 1}, "unequal": {1, 2, 3, 10}} {
		b := newBed(t, provisioned(t, &Rendezvous{}), servers(4, weights...)...)
		got, total := b.count(draws), 0
		for _, w := range weights {
			total += w
		}
		for i, m := range b.pool.Snapshot().Members {
			near(t, name+" "+m.Address().String(), got[m.Address().String()], draws, float64(weights[i])/float64(total))
		}
	}
}

// TestRendezvousFailsOverByWeight takes the heaviest away: its keys go to the others by their weights.
func TestRendezvousFailsOverByWeight(t *testing.T) {
	b := newBed(t, provisioned(t, &Rendezvous{}), "10.0.0.1:81 5", "10.0.0.1:82 3", "10.0.0.1:83 1")
	b.set(false, "10.0.0.1:81")
	got := b.count(draws)
	near(t, "weight 3 of 4", got["10.0.0.1:82"], draws, 0.75)
	near(t, "weight 1 of 4", got["10.0.0.1:83"], draws, 0.25)
}

// TestRendezvousMovesNoKeysButTheNewOnes adds a backend, and then raises its weight: keys only move to it.
func TestRendezvousMovesNoKeysButTheNewOnes(t *testing.T) {
	b := newBed(t, provisioned(t, &Rendezvous{}), servers(5)...)
	before := b.owners(5000)
	for _, weight := range []string{"1", "2", "9"} {
		b.update(append(servers(5), "10.9.9.9:80 "+weight)...)
		after, moved := b.owners(5000), 0
		for i := range after {
			if after[i] == before[i] {
				continue
			}
			moved++
			if after[i] != "10.9.9.9:80" {
				t.Fatalf("weight %s: key %d moved from %s to %s", weight, i, before[i], after[i])
			}
		}
		if moved == 0 {
			t.Errorf("weight %s: nothing moved", weight)
		}
		before = after
	}
}

// TestRendezvousRanksAgreeWithItsPicks walks down a key's ranks by trying what was picked: max_iterations n
// finds the n-th of them when the ones before are down, and no further one.
func TestRendezvousRanksAgreeWithItsPicks(t *testing.T) {
	all := servers(6, 1, 4, 2)
	free := newBed(t, provisioned(t, &Rendezvous{}), all...)
	for _, key := range []string{"/a", "/b", "/c", "/d"} {
		for steps := 1; steps <= 4; steps++ {
			b := newBed(t, provisioned(t, &Rendezvous{Hashing{MaxIterations: steps}}), all...)
			m := free.pick(key)
			for range steps - 1 {
				b.set(false, m)
				free.set(false, m)
				m = free.pick(key)
			}
			if got := b.pick(key); got != m {
				t.Fatalf("key %s, rank %d: %s, want %s", key, steps, got, m)
			}
			b.set(false, m)
			if got := b.pick(key); got != "" {
				t.Fatalf("key %s: %s found beyond %d steps", key, got, steps)
			}
			free.set(true, sorted(free.health)...)
		}
	}
}
