package selection

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/caddylb/caddy-lb/lb"
)

// tableOf is the maglev table of a pool.
func tableOf(b *bed) *maglevPicker { return b.pool.Snapshot().Tiers[0].Picker.(*maglevPicker) }

// entries counts the table's entries by member.
func entries(m *maglevPicker) []int {
	counts := make([]int, len(m.tier.Members))
	for _, owner := range m.table {
		counts[owner]++
	}
	return counts
}

func TestMaglevIsEven(t *testing.T) {
	for _, n := range []int{1, 2, 3, 10, 100, 655} {
		counts := entries(tableOf(newBed(t, provisioned(t, &Maglev{}), servers(n)...)))
		if most, average := slices.Max(counts), float64(defaultTableSize)/float64(n); float64(most) > 1.01*average {
			t.Errorf("%d backends: the largest share is %d entries, the average %.1f", n, most, average)
		}
	}
}

func TestMaglevSharesByWeight(t *testing.T) {
	weights := []int{1, 2, 3, 5, 10, 0}
	p := tableOf(newBed(t, provisioned(t, &Maglev{}), servers(6, weights...)...))
	for i, count := range entries(p) {
		want := float64(defaultTableSize) * float64(p.tier.Members[i].Weight) / 21
		if d := float64(count) - want; d > 3 || d < -3 {
			t.Errorf("weight %d: %d entries, want %.1f", p.tier.Members[i].Weight, count, want)
		}
	}
}

func TestMaglevGivesEveryBackendAnEntry(t *testing.T) {
	p := tableOf(newBed(t, provisioned(t, &Maglev{TableSize: 101}), servers(100, 1, 1, 1000000)...))
	if counts := entries(p); slices.Min(counts) < 1 {
		t.Errorf("entries %v", counts)
	}
}

// TestMaglevMovesFewKeysWhenTheSetChanges removes one backend of n: beyond its own keys at most 1 % move.
func TestMaglevMovesFewKeysWhenTheSetChanges(t *testing.T) {
	for _, n := range []int{10, 100, 500} {
		b := newBed(t, provisioned(t, &Maglev{}), servers(n)...)
		before, lost := tableOf(b), n/3
		b.update(slices.Delete(servers(n), lost, lost+1)...)
		after, moved := tableOf(b), 0
		for i, owner := range before.table {
			was, is := before.tier.Members[owner], after.tier.Members[after.table[i]]
			if int(owner) != lost && was.Backend != is.Backend {
				moved++
			}
		}
		if excess := float64(moved) / defaultTableSize; excess > 0.01 {
			t.Errorf("%d backends: %.2f %% of the keys moved needlessly", n, 100*excess)
		}
	}
}

func TestMaglevKeepsItsTableWhenOnlyHealthChanges(t *testing.T) {
	b := newBed(t, provisioned(t, &Maglev{}), servers(3)...)
	before := tableOf(b)
	b.set(false, "10.0.0.1:80")
	if after := tableOf(b); &after.table[0] != &before.table[0] {
		t.Error("the table was built again")
	}
	b.update(servers(4)...)
	if after := tableOf(b); &after.table[0] == &before.table[0] {
		t.Error("the table of another set was kept")
	}
}

func TestMaglevTableSize(t *testing.T) {
	for size, want := range map[int]string{
		65536:   "table_size 65536 is not a prime: write 65521 or 65537",
		4:       "write 3 or 5",
		1:       "not within 2 and 5000011",
		5000012: "not within 2 and 5000011",
	} {
		err := (&Maglev{TableSize: size}).Validate()
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("table_size %d: %v, want %q", size, err, want)
		}
	}
	pool := lb.NewPool("test", provisioned(t, &Maglev{TableSize: 3}))
	var members []*lb.Member
	for _, s := range servers(4) {
		members = append(members, member(t, s))
	}
	if err := pool.Update(members); err == nil || !strings.Contains(err.Error(), "write a prime of at least 5") {
		t.Errorf("four backends in a table of three: %v", err)
	}
	if err := pool.Update(members[:3]); err != nil {
		t.Errorf("three backends in a table of three: %v", err)
	}
}

func TestPrimes(t *testing.T) {
	var primes []string
	for n := range 30 {
		if isPrime(n) {
			primes = append(primes, fmt.Sprint(n))
		}
	}
	if got := strings.Join(primes, " "); got != "2 3 5 7 11 13 17 19 23 29" {
		t.Errorf("primes below 30: %s", got)
	}
	if !isPrime(maxTableSize) || !isPrime(defaultTableSize) {
		t.Error("a limit is not a prime")
	}
	if below, above := primesAround(2); below != 0 || above != 3 {
		t.Errorf("around 2: %d and %d", below, above)
	}
}
