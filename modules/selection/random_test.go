package selection

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/caddylb/caddy-lb/lb"
)

const draws = 40000

func TestRandomSharesByWeight(t *testing.T) {
	b := newBed(t, &Random{rand: seeded(7)}, "10.0.0.1:81 1", "10.0.0.1:82 8", "10.0.0.1:83 1", "10.0.0.1:84 0")
	got := b.count(draws)
	near(t, "weight 1", got["10.0.0.1:81"], draws, 0.1)
	near(t, "weight 8", got["10.0.0.1:82"], draws, 0.8)
	near(t, "weight 1", got["10.0.0.1:83"], draws, 0.1)

	b.set(false, "10.0.0.1:82")
	near(t, "weight 1 with 8 down", b.count(draws)["10.0.0.1:81"], draws, 0.5)
}

// TestRandomSharesByWeightOnARetry tries the heaviest first, so that draws are often refused.
func TestRandomSharesByWeightOnARetry(t *testing.T) {
	b := newBed(t, &Random{rand: seeded(8)}, "10.0.0.1:81 1000", "10.0.0.1:82 3", "10.0.0.1:83 1")
	heavy, got := b.find("10.0.0.1:81"), 0
	for range draws {
		if b.pick("", heavy) == "10.0.0.1:82" {
			got++
		}
	}
	near(t, "weight 3 beside 1", got, draws, 0.75)
}

// TestAliasIsExact adds up what the columns give to each index: the shares of the weights, to a rounding of
// the last of 64 bits.
func TestAliasIsExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		weights := rapid.SliceOfN(rapid.Uint64Range(1, lb.MaxWeight), 1, 40).Draw(t, "weights")
		a := newAlias(weights)
		n := float64(len(weights))
		share := make([]float64, len(weights))
		for i := range weights {
			cut := 1.0
			if a.columns != nil {
				cut = float64(a.columns[i].cut) / (1 << 64)
				share[a.columns[i].other] += (1 - cut) / n
			}
			share[i] += cut / n
		}
		var total float64
		for _, w := range weights {
			total += float64(w)
		}
		for i, w := range weights {
			if d := share[i] - float64(w)/total; d > 1e-12 || d < -1e-12 {
				t.Fatalf("index %d of weight %d has a share of %v, want %v", i, w, share[i], float64(w)/total)
			}
		}
	})
}

func TestAliasDraw(t *testing.T) {
	a := &alias{n: 2, columns: []column{{cut: 1 << 63, other: 1}, {cut: ^uint64(0), other: 1}}}
	for r, want := range map[uint64]int{0: 0, 1<<62 - 1: 0, 1 << 62: 1, 1<<63 - 1: 1, 1 << 63: 1, 1<<64 - 1: 1} {
		if got := a.draw(r); got != want {
			t.Errorf("draw of %#x: %d, want %d", r, got, want)
		}
	}
}
