package lbproxy

import (
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddylb/caddy-lb/internal/h1"
	"github.com/caddylb/caddy-lb/lb"
)

// Hedge has a request whose answer is late given to a second backend as well; the first good answer is the client's ("The Tail at Scale",
// Dean and Barroso 2013; Envoy's hedge_policy). It concerns requests of idempotent methods without a body, once each.
type Hedge struct {
	// Delay is how long the header of the answer is waited for before. Either Delay or Percentile is set.
	Delay caddy.Duration `json:"delay,omitempty"`

	// Percentile of the pool's recent times until the header is Delay, such as 95. Until 100 of them were seen
	// nothing is hedged.
	Percentile float64 `json:"percentile,omitempty"`

	// MaxPercent bounds the hedged requests to this percentage of all requests, over 10 seconds. Default: 5.
	MaxPercent float64 `json:"max_percent,omitempty"`

	// Optional leaves hedging out where another option of the handler does not go with it, instead of failing. Default: false.
	Optional bool `json:"optional,omitempty"`
}

const (
	defaultHedgePercent = 5
	minHedgeLatencies   = 100
)

// hedgeResult says which try gave a hedged request its answer.
type hedgeResult int

// The results, in the order of metrics.
const (
	hedgeWon  hedgeResult = iota // the second
	hedgeLost                    // the first
	numHedgeResults
)

var hedgeResults = [numHedgeResults]string{"won", "lost"}

// hedging is Hedge, ready for use.
type hedging struct {
	delay    time.Duration // 0 with a quantile
	quantile float64       // from 0 to 1
	limit    lb.BudgetLimit

	known atomic.Pointer[hedgeDelay]
}

// hedgeDelay is a delay with what it was read off.
type hedgeDelay struct {
	counts *lb.Counts
	delay  time.Duration
	ok     bool
}

func (c *Hedge) validate() error {
	switch {
	case c.Delay < 0:
		return errors.New("delay must be above 0, such as 50ms")
	case c.Delay > 0 && c.Percentile != 0, c.Delay == 0 && c.Percentile == 0:
		return errors.New("it takes a delay or a percentile, one of both")
	case c.Percentile != 0 && !(c.Percentile > 0 && c.Percentile < 100):
		return fmt.Errorf("percentile %v is not above 0 and below 100", c.Percentile)
	case !(c.MaxPercent >= 0 && c.MaxPercent <= 100):
		return fmt.Errorf("max_percent %v is not above 0 and up to 100", c.MaxPercent)
	}
	return nil
}

// provisionHedge makes Hedge ready for use.
func (h *Handler) provisionHedge() error {
	if err := h.Hedge.validate(); err != nil {
		return err
	}
	if err := hedgeObstacle(&hedgeSetting{h.filters, h.pool.policy, h.pool.policyName(), h.ways.mayHedge}); err != nil {
		return err
	}
	share := h.Hedge.MaxPercent
	if share == 0 {
		share = defaultHedgePercent
	}
	h.hedging = &hedging{
		delay: time.Duration(h.Hedge.Delay), quantile: h.Hedge.Percentile / 100, limit: lb.BudgetLimit{Share: share / 100},
	}
	return nil
}

// after is how long to wait for an answer of the pool before a request is hedged; false while that is not known.
func (g *hedging) after(s *poolState) (time.Duration, bool) {
	if g.delay > 0 {
		return g.delay, true
	}
	counts := s.latency.Counts(lb.Monotonic())
	if counts == nil {
		return 0, false
	}
	known := g.known.Load()
	if known == nil || known.counts != counts {
		known = &hedgeDelay{counts: counts}
		if counts.Total() >= minHedgeLatencies {
			known.delay, known.ok = counts.Quantile(g.quantile)
		}
		g.known.Store(known)
	}
	return known.delay, known.ok
}

// observe takes a time until an answer's header into account.
func (g *hedging) observe(s *poolState, d time.Duration) {
	if g.quantile > 0 {
		s.latency.Observe(d)
	}
}

// mayHedge reports whether two backends can be given the request at once.
func (ex *exchange) mayHedge() bool {
	return ex.body == nil && ex.tunnel == nil && ex.upgrade == "" && h1.IsIdempotent(ex.out.Method) &&
		(ex.ways == ex.h.ways || ex.ways.mayHedge() == nil) // a filter or a reload may have chosen other ones
}
