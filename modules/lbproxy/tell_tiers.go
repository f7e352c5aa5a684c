package lbproxy

import (
	"fmt"

	"go.uber.org/zap"

	"github.com/caddylb/caddy-lb/lb"
)

// toldTier is what operators were told of a tier last.
type toldTier struct{ used, panic bool }

// tellTiers tells which tiers stand in for those before them, and in which panic mode begins or
// ends. A first tier that is not used is told by whoever stands in, or by its last backend.
func (n *news) tellTiers() {
	told := n.pool.state.tiers
	next := make(map[int]toldTier, len(n.snapshot.Tiers))
	for i, t := range n.snapshot.Tiers {
		before, seen := told[t.Priority]
		now := toldTier{used: t.Load > 0, panic: t.Panic}
		next[t.Priority] = now
		priority := zap.Int("priority", shownPriority(t))
		if seen && i > 0 && now.used != before.used {
			n.tellUse(i, t, priority)
		}
		if now.panic == before.panic {
			continue
		}
		available := 0
		for _, m := range t.Members {
			available += selectable(m)
		}
		reason := fmt.Sprintf("%d of %d backends of the tier are available, panic_threshold is %g%%",
			available, len(t.Members), 100*n.pool.Options().PanicThreshold)
		if now.panic {
			n.line(zap.WarnLevel, "panic mode begins", reason, priority)
		} else {
			n.line(zap.InfoLevel, "panic mode ends", reason, priority)
		}
	}
	n.pool.state.tiers = next
}

func (n *news) tellUse(i int, t *lb.Tier, priority zap.Field) {
	available, all := 0, 0
	for _, before := range n.snapshot.Tiers[:i] {
		all += len(before.Members)
		for _, m := range before.Members {
			available += selectable(m)
		}
	}
	reason := fmt.Sprintf("%d of %d backends before it are available", available, all)
	if t.Load > 0 {
		n.line(zap.WarnLevel, "tier stands in", reason, priority, zap.Float64("load", t.Load))
	} else {
		n.line(zap.InfoLevel, "tier does not stand in any more", reason, priority)
	}
}

func selectable(m *lb.Member) int {
	if m.Selectable() {
		return 1
	}
	return 0
}
