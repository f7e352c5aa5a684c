package outlier

import (
	"fmt"
	"sync/atomic"
)

// streaks counts the failures in a row of a host, for the three consecutive rules. The counts stand in one word, so that a success has
// to look at one only, and failures that come at once cannot take each other for the one that is too many.
type streaks struct{ word atomic.Uint64 }

// counts has at the index of a [Kind] of failure how many in a row were of this kind or a worse one.
type counts [ConnectFailure + 1]uint64

const (
	streakBits = 21
	streakMax  = 1<<streakBits - 1 // where a count stays; a greater limit is as good as none
)

func (s *streaks) load() counts {
	w := s.word.Load()
	return counts{ServerError: w & streakMax, GatewayError: w >> streakBits & streakMax, ConnectFailure: w >> (2 * streakBits)}
}

func (c counts) packed() uint64 {
	return c[ServerError] | c[GatewayError]<<streakBits | c[ConnectFailure]<<(2*streakBits)
}

// clear ends all streaks. It writes only if there is something to end: successes are many, and share the word.
func (s *streaks) clear() {
	if s.word.Load() != 0 {
		s.word.Store(0)
	}
}

// fail counts a failure, and reports the worst kind of which there were limits[kind] in a row now. A limit below 1 is none. Counts that
// reached their limits start again, so exactly one of the failures is the one that is too many.
func (s *streaks) fail(kind Kind, limits *[ConnectFailure + 1]int) (reached Kind, ok bool) {
	for {
		before := s.load()
		after := before
		reached, ok = Ignored, false
		for k := ServerError; k <= ConnectFailure; k++ {
			if k > kind {
				after[k] = 0
				continue
			}
			after[k] = min(before[k]+1, streakMax)
			if limits[k] > 0 && after[k] >= uint64(limits[k]) {
				after[k] = 0
				reached, ok = k, true
			}
		}
		if s.word.CompareAndSwap(before.packed(), after.packed()) {
			return reached, ok
		}
	}
}

// consecutive is the verdict on a host of which limit failures in a row were of a kind.
func consecutive(kind Kind, limit int) verdict {
	rule, what := RuleConsecutive5xx, "5xx"
	switch kind {
	case GatewayError:
		rule, what = RuleConsecutiveGateway, "gateway failures"
	case ConnectFailure:
		rule, what = RuleConsecutiveConnect, "connect failures"
	}
	return verdict{rule: rule, reason: fmt.Sprintf("%d consecutive %s", limit, what)}
}
