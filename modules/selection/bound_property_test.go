package selection

import (
	"math"
	"strconv"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/caddylb/caddy-lb/lb"
)

// TestBoundedLoadHoldsWhateverHappens gives out requests with popular keys, ends some, and has backends drained,
// put back, taken down and brought up meanwhile. No request is given to a backend that would have more than
// ceil(factor × requests under way × its share by weight of those that may be selected) with it, and every
// request is given to one. (A backend that has that many may have too many when requests end elsewhere: a proxy
// cannot move those it has sent.)
func TestBoundedLoadHoldsWhateverHappens(t *testing.T) {
	for _, factor := range []float64{1.01, 1.25, 2} {
		policies := boundedPolicies(t, factor)
		policies["maglev"] = provisioned(t, &Maglev{TableSize: 251, Hashing: Hashing{BalanceFactor: factor}})
		for name, policy := range policies {
			t.Run(name+"/"+strconv.FormatFloat(factor, 'g', -1, 64), func(t *testing.T) {
				rapid.Check(t, func(rt *rapid.T) {
					n := rapid.IntRange(1, 9).Draw(rt, "n")
					weights := rapid.SliceOfN(rapid.IntRange(1, 5), 1, 4).Draw(rt, "weights")
					l := &loading{bed: newBed(t, policy, servers(n, weights...)...), factor: factor}
					rt.Repeat(map[string]func(*rapid.T){"acquire": l.acquire, "release": l.release, "drain": l.drain, "flip": l.flip})
				})
			})
		}
	}
}

// loading is a pool with requests under way.
type loading struct {
	*bed
	factor   float64
	underWay []*lb.Member
}

// acquire gives out some requests, whose keys are few.
func (l *loading) acquire(t *rapid.T) {
	snapshot := l.pool.Snapshot()
	weight := float64(totalWeight(snapshot.Tiers[0].Selectable))
	for range rapid.IntRange(1, 20).Draw(t, "requests") {
		key := rapid.SampledFrom([]string{"a", "a", "a", "b", "c"}).Draw(t, "key")
		m := snapshot.Pick(&lb.Pick{Key: key})
		if m == nil {
			if weight > 0 {
				t.Fatal("no backend was picked")
			}
			return
		}
		m.Acquire()
		l.underWay = append(l.underWay, m)
		own, all := m.Load()
		if all != int64(len(l.underWay)) {
			t.Fatalf("%d requests are counted, %d are under way", all, len(l.underWay))
		}
		limit := math.Ceil(l.factor*float64(all)*float64(m.Weight)/weight - 1e-6)
		if float64(own) > limit {
			t.Fatalf("%s was given its request %d of %d, its limit is %v", m.Address(), own, all, limit)
		}
	}
}

// release ends some requests, in any order.
func (l *loading) release(t *rapid.T) {
	for range rapid.IntRange(0, len(l.underWay)).Draw(t, "ended") {
		i := rapid.IntRange(0, len(l.underWay)-1).Draw(t, "which")
		l.underWay[i].Release()
		l.underWay[i] = l.underWay[len(l.underWay)-1]
		l.underWay = l.underWay[:len(l.underWay)-1]
	}
}

func (l *loading) drain(t *rapid.T) {
	m := rapid.SampledFrom(l.pool.Snapshot().Members).Draw(t, "member")
	m.SetDrained(!m.Drained(), time.Time{})
	l.set(true)
}

func (l *loading) flip(t *rapid.T) {
	m := rapid.SampledFrom(l.pool.Snapshot().Members).Draw(t, "member")
	l.set(!m.Healthy(), m.Address().String())
}
