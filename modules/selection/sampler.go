package selection

import (
	"math/bits"
	"math/rand/v2"
	"slices"

	"github.com/caddylb/caddy-lb/lb"
)

const (
	// maxChoices is the largest number of backends that are drawn to be compared; above it all are.
	maxChoices = 32

	// maxRedraws is how often a draw is repeated when it hits a member that cannot be taken.
	maxRedraws = 8
)

// sampler draws members at random by weight, and finds the least costly of some or all of them.
type sampler struct {
	usable
	alias *alias
	given []uint64 // the weights alias was made of
	rand  func() uint64
}

// newSampler makes a sampler over the members of tier that may be selected. random gives 64 random bits, nil
// stands for math/rand/v2.
func newSampler(tier *lb.Tier, prev *sampler, random func() uint64) sampler {
	if random == nil {
		random = rand.Uint64
	}
	s := sampler{usable: usableOf(tier.Selectable), rand: random}
	s.given = s.weights()
	if prev != nil && slices.Equal(prev.given, s.given) {
		s.alias = prev.alias
	} else {
		s.alias = newAlias(s.given)
	}
	return s
}

// draw returns the index of a member that p accepts and that is not among drawn, with a probability
// proportional to its weight, or -1 when there is none. Rejecting and drawing again keeps the proportions.
func (s *sampler) draw(p *lb.Pick, drawn []int32) int {
	if len(drawn) >= len(s.members) {
		return -1
	}
	all := s.all(p)
	for range maxRedraws {
		i := s.alias.draw(s.rand())
		if (all || p.Accepts(s.members[i])) && !slices.Contains(drawn, int32(i)) {
			return i
		}
	}
	choice, tie := -1, tieBreaker{rand: s.rand}
	for i, m := range s.members {
		if p.Accepts(m) && !slices.Contains(drawn, int32(i)) && tie.take(m) {
			choice = i
		}
	}
	return choice
}

// least returns the member of the lowest cost that p accepts, or nil. Among equals one is drawn by weight.
func (s *sampler) least(p *lb.Pick, cost func(*lb.Member) float64) *lb.Member {
	all := s.all(p)
	var best *lb.Member
	var lowest float64
	tie := tieBreaker{rand: s.rand}
	for _, m := range s.members {
		if !all && !p.Accepts(m) {
			continue
		}
		c := cost(m)
		if best == nil || c < lowest {
			best, lowest = m, c
			tie.reset(m)
		} else if c == lowest && tie.take(m) {
			best = m
		}
	}
	return best
}

// leastOf draws n distinct members by weight and returns the one of the lowest cost, the first drawn of equals:
// where all cost the same the draw decides, and shares are exactly by weight. More than there are, or than
// maxChoices, are all.
func (s *sampler) leastOf(n int, p *lb.Pick, cost func(*lb.Member) float64) *lb.Member {
	if n >= len(s.members) || n > maxChoices {
		return s.least(p, cost)
	}
	var drawn [maxChoices]int32
	var best *lb.Member
	var lowest float64
	for k := range n {
		i := s.draw(p, drawn[:k])
		if i < 0 {
			break
		}
		drawn[k] = int32(i)
		if c := cost(s.members[i]); best == nil || c < lowest {
			best, lowest = s.members[i], c
		}
	}
	return best
}

// load is the cost that the policies of least requests compare: active requests by the weight of the moment.
func load(m *lb.Member) float64 { return float64(m.Active()) / float64(m.Share()) }

// tieBreaker draws one of a stream of members by weight (reservoir sampling). It takes one number from rand,
// when it first has to decide, and stretches it by splitmix64, for a pool at rest is one tie of all.
type tieBreaker struct {
	rand  func() uint64
	state uint64
	total uint64
}

// reset starts a stream with m as the one drawn.
func (t *tieBreaker) reset(m *lb.Member) { t.total = m.Share() }

// take adds m to the stream and reports whether it is the one drawn now.
func (t *tieBreaker) take(m *lb.Member) bool { return t.takeShare(m.Share()) }

// takeShare is take for a member of this share.
func (t *tieBreaker) takeShare(share uint64) bool {
	t.total += share
	if t.total == share {
		return true
	}
	if t.state == 0 {
		t.state = t.rand()
	}
	t.state += 0x9e3779b97f4a7c15
	place, _ := bits.Mul64(mix(t.state), t.total)
	return place < share
}

// mix is the finaliser of splitmix64, a bijection that spreads every bit of x over all.
func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
