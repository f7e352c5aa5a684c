package lb

import (
	"math"
	"testing"

	"pgregory.net/rapid"
)

func near(a, b, tolerance float64) bool { return math.Abs(a-b) <= tolerance }

// Rows of Envoy's documentation of priority levels and panic thresholds, in percent: what is available of each tier, and the
// load that follows. Envoy rounds to whole percents.
func TestDistributeAsEnvoyDocuments(t *testing.T) {
	for _, row := range []struct {
		available, load []float64
		panics          []bool
	}{
		{[]float64{100, 100}, []float64{100, 0}, []bool{false, false}},
		{[]float64{72, 72}, []float64{100, 0}, []bool{false, false}},
		{[]float64{71, 71}, []float64{99, 1}, []bool{false, false}},
		{[]float64{50, 60}, []float64{70, 30}, []bool{false, false}},
		{[]float64{25, 100}, []float64{35, 65}, []bool{false, false}},
		{[]float64{25, 25}, []float64{50, 50}, []bool{true, true}},
		{[]float64{5, 65}, []float64{7, 93}, []bool{true, false}},
		{[]float64{25, 25, 20}, []float64{36, 36, 28}, []bool{true, true, true}},
		{[]float64{0, 0}, []float64{50, 50}, []bool{true, true}},
	} {
		tiers := make([]standing, len(row.available))
		for i, a := range row.available {
			tiers[i] = standing{available: int(a), total: 100}
		}
		loads, panics := distribute(tiers, 1.4, 0.5)
		for i := range tiers {
			if !near(100*loads[i], row.load[i], 1) {
				t.Errorf("%v available: load %v, want %v", row.available, loads, row.load)
			}
			if panics[i] != row.panics[i] {
				t.Errorf("%v available: panic %v, want %v", row.available, panics, row.panics)
			}
		}
	}
}

func TestDistributeBackups(t *testing.T) {
	backup := standing{available: 2, total: 2, backup: true}
	for _, c := range []struct {
		name      string
		ordinary  standing
		threshold float64
		want      []float64
		panics    bool
	}{
		{"spills nothing", standing{available: 1, total: 10}, 0, []float64{1, 0}, false},
		{"serves when nobody else can", standing{available: 0, total: 10}, 0, []float64{0, 1}, false},
		{"keeps the others from panic", standing{available: 1, total: 10}, 0.5, []float64{1, 0}, false},
	} {
		loads, panics := distribute([]standing{c.ordinary, backup}, 1.4, c.threshold)
		if loads[0] != c.want[0] || loads[1] != c.want[1] || panics[0] != c.panics {
			t.Errorf("%s: loads %v, panic %v", c.name, loads, panics)
		}
	}
	loads, panics := distribute([]standing{{0, 4, false}, {0, 2, true}}, 1.4, 0.5)
	if !panics[0] || !near(loads[0], 4.0/6, 1e-9) {
		t.Errorf("with nobody left, not even a backup: loads %v, panic %v", loads, panics)
	}
}

// The load of any tiers is as the formula says: nothing is lost, no tier gets more than its health allows while others
// have room, and with tiers strict one has all.
func TestDistributeKeepsToTheFormula(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 6).Draw(t, "tiers")
		tiers := make([]standing, n)
		for i := range tiers {
			tiers[i].total = rapid.IntRange(0, 20).Draw(t, "total")
			tiers[i].available = rapid.IntRange(0, tiers[i].total).Draw(t, "available")
		}
		factor := rapid.SampledFrom([]float64{0, 1, 1.4, 2}).Draw(t, "overprovisioning")
		threshold := rapid.SampledFrom([]float64{0, 0.3, 0.5, 1}).Draw(t, "threshold")
		loads, panics := distribute(tiers, factor, threshold)

		var sum, health float64
		anybody := false
		for i, s := range tiers {
			sum += loads[i]
			health += math.Min(1, math.Max(factor, math.SmallestNonzeroFloat64)*s.share())
			anybody = anybody || s.available > 0 || panics[i]
			if loads[i] < 0 || loads[i] > 0 && s.available == 0 && !panics[i] {
				t.Fatalf("tier %d of %+v has load %v and nobody to serve it", i, tiers, loads[i])
			}
			if panics[i] && s.share() >= threshold {
				t.Fatalf("tier %d of %+v panics at %v, the threshold is %v", i, tiers, s.share(), threshold)
			}
		}
		if want := float64(count(anybody)); !near(sum, want, 1e-9) {
			t.Fatalf("%+v: the loads %v add up to %v, want %v", tiers, loads, sum, want)
		}
		if factor == 0 || !anybody {
			return
		}
		left := 1.0
		for i, s := range tiers {
			if health == 0 {
				break
			}
			want := math.Min(left, math.Min(1, factor*s.share())/math.Min(1, health))
			if !near(loads[i], want, 1e-6) {
				t.Fatalf("tier %d of %+v has load %v, the formula says %v", i, tiers, loads[i], want)
			}
			left -= loads[i]
		}
	})
}

// Where tiers are strict, what is available counts as it is.
func TestStrictTiersPanic(t *testing.T) {
	for _, c := range []struct {
		available int
		panics    bool
	}{{6, true}, {7, false}} {
		if loads, panics := distribute([]standing{{available: c.available, total: 10}}, 0, 0.7); panics[0] != c.panics || loads[0] != 1 {
			t.Errorf("%d of 10 with a threshold of 0.7: panic %v, load %v", c.available, panics[0], loads[0])
		}
	}
}
