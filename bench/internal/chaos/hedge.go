package chaos

import (
	"context"
	"time"

	"github.com/caddylb/caddy-lb/bench/internal/chaos/client"
	"github.com/caddylb/caddy-lb/bench/internal/chaos/fleet"
	"github.com/caddylb/caddy-lb/bench/internal/chaos/proxy"
	"github.com/caddylb/caddy-lb/bench/internal/peer"
)

var hedgeScenario = Scenario{
	Name: "hedge",
	About: "Ten backends of which nine answer in 10 ms and one in 200 ms, 300 requests a second, the less busy of two backends chosen at random " +
		"(`reverse_proxy`: the least busy of all), without and with `hedge p95 max 5%`.",
	run: runHedge,
}

func runHedge(ctx context.Context, b *Bed, p proxy.Peer) ([]Figure, error) {
	without, err := hedgeLoad(ctx, b, p, false)
	if err != nil {
		return nil, err
	}
	figures := without.figures("without hedging")
	if p.Name() != string(peer.LB) {
		return figures, nil
	}
	with, err := hedgeLoad(ctx, b, p, true)
	if err != nil {
		return nil, err
	}
	requests := float64(len(with.samples))
	// Of a short run there are too few requests for more than the 99th percentile.
	return append(append(figures, with.figures("with hedging")...),
		gain(without, with, 0.99, "p99").atLeast(0, 2),
		gain(without, with, 0.999, "p99.9").atLeast(5, 0),
		percent("requests added by hedging", float64(with.reached)-requests, requests).atMost(5, 6),
	), nil
}

// gain is by how much hedging lowers a quantile.
func gain(without, with *hedgeRun, q float64, name string) Figure {
	return ratio(name+" without / with hedging", float64(without.samples.Quantile(q)), float64(with.samples.Quantile(q)))
}

type hedgeRun struct {
	samples client.Samples
	reached int64 // requests at the backends
	slow    int64 // those of them that were at the slow one
}

func (r *hedgeRun) figures(how string) []Figure {
	return []Figure{
		count("requests "+how, len(r.samples)),
		failures("failed "+how, r.samples).atMost(0, 0),
		sentLate(r.samples, how),
		percent("tries at the slow backend "+how, float64(r.slow), float64(r.reached)),
		millis("p50 "+how, r.samples.Quantile(0.5)),
		millis("p99 "+how, r.samples.Quantile(0.99)),
		millis("p99.9 "+how, r.samples.Quantile(0.999)),
	}
}

func hedgeLoad(ctx context.Context, b *Bed, p proxy.Peer, hedged bool) (*hedgeRun, error) {
	const rate, timeout = 300, 10 * time.Second
	s, err := b.open(ctx, p, 10, fleet.Options{Service: 10 * time.Millisecond, Slower: 20}, &proxy.Setup{Config: proxy.Hedge, Hedge: hedged})
	if err != nil {
		return nil, err
	}
	defer s.close()
	s.fleet[0].Break(fleet.Slow)
	h1 := &client.H1{Addr: s.Addr(), Timeout: timeout}
	defer h1.Close()
	// Within this time the percentile is learnt.
	learn := client.Open(ctx, rate, client.Get(h1, "/"))
	defer learn.Stop()
	if err := proxy.Pause(ctx, times(b, 5*time.Second, 1500*time.Millisecond)); err != nil {
		return nil, err
	}
	learn.Stop()
	before, slowBefore := s.fleet.Total(), s.fleet[0].Counts()
	load := client.Open(ctx, rate, client.Get(h1, "/"))
	defer load.Stop()
	if err := proxy.Pause(ctx, times(b, 20*time.Second, 2*time.Second)); err != nil {
		return nil, err
	}
	samples := load.Stop()
	return &hedgeRun{samples, since(before, s.fleet.Total()).Requests, since(slowBefore, s.fleet[0].Counts()).Requests}, nil
}
