package outlier

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"time"
)

// outliers are the peers of whose requests too many failed, the worst first.
func (r Percentage) outliers(peers []*peer) (found []finding) {
	if r.Threshold < 0 {
		return nil
	}
	judged := bySuccessRate(peers, r.MinRequests)
	if len(judged) < r.MinHosts {
		return nil
	}
	for _, p := range judged {
		if failed := 100 - p.successRate(); failed >= r.Threshold {
			found = append(found, finding{p, verdict{
				rule:   RuleFailurePercentage,
				reason: fmt.Sprintf("%.1f %% of %d requests failed", failed, p.requests()),
			}})
		}
	}
	return found
}

// outliers are the peers whose success rate is too many standard deviations below the mean, the worst first.
func (r Deviation) outliers(peers []*peer) (found []finding) {
	if r.Factor < 0 {
		return nil
	}
	judged := bySuccessRate(peers, r.MinRequests)
	if len(judged) < r.MinHosts {
		return nil
	}
	n, sum, squares := float64(len(judged)), 0.0, 0.0
	for _, p := range judged {
		sum += p.successRate()
	}
	mean := sum / n
	for _, p := range judged {
		squares += (p.successRate() - mean) * (p.successRate() - mean)
	}
	threshold := mean - r.Factor*math.Sqrt(squares/n)
	for _, p := range judged {
		if rate := p.successRate(); rate < threshold {
			others := (sum - rate) / max(1, n-1)
			found = append(found, finding{p, verdict{
				rule:   RuleSuccessRate,
				reason: fmt.Sprintf("success rate %.1f %%, its peers %.1f %%", rate, others),
			}})
		}
	}
	return found
}

// bySuccessRate are the peers with enough requests, the worst first.
func bySuccessRate(peers []*peer, minRequests int) []*peer {
	return enough(peers, minRequests, (*peer).requests, func(a, b *peer) int {
		return cmp.Compare(a.successRate(), b.successRate())
	})
}

// outliers are the peers that are too much slower than the others, the slowest first.
func (r Slowness) outliers(peers []*peer) (found []finding) {
	if r.Factor <= 0 {
		return nil
	}
	judged := enough(peers, r.MinRequests, func(p *peer) uint64 { return p.successes }, func(a, b *peer) int {
		return cmp.Compare(b.median, a.median)
	})
	if len(judged) < max(2, r.MinHosts) {
		return nil // alone, nobody is slower than the others
	}
	for i, p := range judged {
		others := medianWithout(judged, i)
		limit := max(time.Duration(r.Factor*float64(others)), others+r.Floor)
		if p.median > limit {
			found = append(found, finding{p, verdict{
				rule:   RuleLatency,
				reason: fmt.Sprintf("latency %s, its peers %s", rounded(p.median), rounded(others)),
				slow:   limit,
			}})
		}
	}
	return found
}

// medianWithout is the median of the medians of all peers but the one at an index. They are in order, and at least two.
func medianWithout(peers []*peer, without int) time.Duration {
	at := func(i int) time.Duration {
		if i >= without {
			i++
		}
		return peers[i].median
	}
	n := len(peers) - 1
	return (at((n-1)/2) + at(n/2)) / 2
}

// enough are the peers with at least minimum requests, in an order; a peer without any has nothing to be judged by.
func enough(peers []*peer, minimum int, requests func(*peer) uint64, order func(a, b *peer) int) []*peer {
	var judged []*peer
	for _, p := range peers {
		if requests(p) >= uint64(max(1, minimum)) {
			judged = append(judged, p)
		}
	}
	slices.SortFunc(judged, order)
	return judged
}
