package selection

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func TestScheduleOrder(t *testing.T) {
	for _, test := range []struct {
		weights []uint64
		want    []uint16
	}{
		{[]uint64{1}, []uint16{0}},
		{[]uint64{1, 1, 1}, []uint16{0, 1, 2}},
		{[]uint64{5, 1, 1}, []uint16{0, 0, 1, 0, 0, 0, 2}},
		{[]uint64{3, 2, 1}, []uint16{0, 1, 0, 2, 0, 1}},
		{[]uint64{1, 2}, []uint16{1, 1, 0}},
		{[]uint64{2, 2}, []uint16{0, 1, 0, 1}},
	} {
		if got := schedule(test.weights); !slices.Equal(got, test.want) {
			t.Errorf("weights %v: %v, want %v", test.weights, got, test.want)
		}
	}
}

// longestRun is how often the member follows itself at most in the endless repetition of cycle, counting the
// first time.
func longestRun(cycle []uint16, member uint16) uint64 {
	var longest, run uint64
	for i := range 2 * len(cycle) {
		if cycle[i%len(cycle)] != member {
			run = 0
			continue
		}
		run++
		longest = max(longest, run)
	}
	return longest
}

func TestScheduleIsExactAndHasNoNeedlessRuns(t *testing.T) {
	small := rapid.SliceOfN(rapid.Uint64Range(1, 12), 1, 8)
	skewed := rapid.SliceOfN(rapid.OneOf(rapid.Uint64Range(1, 3), rapid.Uint64Range(1, 400)), 1, 30)
	rapid.Check(t, func(t *rapid.T) {
		weights := rapid.OneOf(small, skewed).Draw(t, "weights")
		cycle := schedule(weights)

		var total uint64
		counts := make([]uint64, len(weights))
		for _, w := range weights {
			total += w
		}
		for _, member := range cycle {
			counts[member]++
		}
		if !slices.Equal(counts, weights) {
			t.Fatalf("turns %v, want %v", counts, weights)
		}
		if len(weights) == 1 {
			return
		}
		for i, w := range weights {
			rest := total - w
			if run, most := longestRun(cycle, uint16(i)), (w+rest-1)/rest; run > most {
				t.Fatalf("member %d of weight %d runs %d times, want at most %d: %v", i, w, run, most, cycle)
			}
		}
	})
}

// TestScheduleSpreads bounds how far a member's turns, counted from the cycle's start, are from its share.
func TestScheduleSpreads(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		weights := rapid.SliceOfN(rapid.Uint64Range(1, 50), 2, 12).Draw(t, "weights")
		cycle := schedule(weights)
		for i, w := range weights {
			turns := 0
			for at, member := range cycle {
				if int(member) == i {
					turns++
				}
				share := float64(at+1) * float64(w) / float64(len(cycle))
				if d := float64(turns) - share; d > 3 || d < -3 {
					t.Fatalf("member %d has %d turns in the first %d, want about %.1f: %v", i, turns, at+1, share, cycle)
				}
			}
		}
	})
}

func TestRotorIsExactInEveryWindow(t *testing.T) {
	for name, weights := range map[string][]uint64{
		"table":       {5, 3, 1},
		"common":      {500, 300, 100},
		"long table":  {30000, 20000, 15000, 535},
		"no table":    {40000, 30000, 1},
		"many":        slices.Repeat([]uint64{101, 7, 3}, 1000),
		"prime total": {70000, 1019, 2},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRotor(weights, nil)
			var common, total uint64
			for _, w := range weights {
				common, total = gcd(w, common), total+w
			}
			total /= common
			if r.total.d != total {
				t.Fatalf("a cycle of %d, want %d", r.total.d, total)
			}
			counts := make([]uint64, len(weights))
			const start = 1 << 40
			for tick := range total {
				counts[r.at(start+tick)]++
			}
			for i, w := range weights {
				if counts[i] != w/common {
					t.Errorf("member %d has %d turns, want %d", i, counts[i], w/common)
				}
			}
			for tick := range uint64(100) {
				if r.at(start+tick) != r.at(start+tick+total) {
					t.Fatalf("tick %d differs a cycle later", tick)
				}
			}
		})
	}
}

// TestRotorSpreadsWithoutTable looks at runs where strides stand in for a table.
func TestRotorSpreadsWithoutTable(t *testing.T) {
	r := newRotor([]uint64{60000, 20000, 19999}, nil)
	if r.cycle != nil {
		t.Fatal("the cycle has a table")
	}
	run, longest, last := 0, 0, -1
	for tick := range r.total.d {
		if i := r.at(tick); i != last {
			run, last = 0, i
		}
		run++
		longest = max(longest, run)
	}
	if longest > 2 {
		t.Errorf("a run of %d, want at most 2", longest)
	}
}

func TestRotorKeepsItsTableForTheSameWeights(t *testing.T) {
	a := newRotor([]uint64{3, 1}, nil)
	if b := newRotor([]uint64{3, 1}, a); b != a {
		t.Error("the same weights were laid out again")
	}
	if b := newRotor([]uint64{1, 3}, a); b == a || b.at(0) != 1 {
		t.Error("other weights were not laid out")
	}
}

func TestDivisor(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := rapid.OneOf(rapid.Uint64Range(1, 1<<62), rapid.Uint64Range(1, 70000)).Draw(t, "d")
		n := rapid.Uint64().Draw(t, "n")
		if got := newDivisor(d).mod(n); got != n%d {
			t.Fatalf("%d mod %d = %d, want %d", n, d, got, n%d)
		}
	})
}

// TestAlternationForces looks at states by themselves: a member with more turns left than it can have in every
// second place after this one is placed now.
func TestAlternationForces(t *testing.T) {
	for _, test := range []struct {
		left   []uint64
		first  int
		member int
		forced bool
	}{
		{left: []uint64{1, 3, 2}, member: 0, forced: false},
		{left: []uint64{1, 4, 1}, member: 1, forced: true},
		{left: []uint64{3, 2, 1}, first: 0, member: 0, forced: true},
		{left: []uint64{2, 2, 2}, first: 0, member: 0, forced: false},
		{left: []uint64{0, 0, 1}, first: 0, member: 2, forced: true},
		{left: []uint64{0, 2, 1}, first: 0, member: 1, forced: true},
	} {
		a := alternation{left: test.left, first: test.first}
		for _, n := range test.left {
			a.places += n
		}
		a.watched = a.places + 1
		if member, forced := a.forced(); member != test.member || forced != test.forced {
			t.Errorf("left %v, first %d: %d, %v, want %d, %v", test.left, test.first, member, forced, test.member, test.forced)
		}
	}
}
