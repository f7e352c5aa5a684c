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
	figures := []Figure{
		count("requests without hedging", len(without.samples)),
		percent("of them at the slow backend", float64(without.slow), float64(without.reached)),
		millis("p50 without hedging", without.samples.Quantile(0.5)),
		millis("p99 without hedging", without.samples.Quantile(0.99)),
		millis("p99.9 without hedging", without.samples.Quantile(0.999)),
	}
	if p.Name() != string(peer.LB) {
		return append(figures, failures("failed", without.samples)), nil
	}
	with, err := hedgeLoad(ctx, b, p, true)
	if err != nil {
		return nil, err
	}
	before, after := without.samples.Quantile(0.999), with.samples.Quantile(0.999)
	requests := float64(len(with.samples))
	return append(figures,
		failures("failed", append(without.samples, with.samples...)).atMost(0, 0),
		count("requests with hedging", len(with.samples)),
		percent("of all tries at the slow backend", float64(with.slow), float64(with.reached)),
		millis("p50 with hedging", with.samples.Quantile(0.5)),
		millis("p99 with hedging", with.samples.Quantile(0.99)),
		millis("p99.9 with hedging", after),
		ratio("p99.9 without / with hedging", float64(before), float64(after)).atLeast(5, 2),
		percent("requests added by hedging", float64(with.reached)-requests, requests).atMost(5, 6),
	), nil
}

type hedgeRun struct {
	samples client.Samples
	reached int64 // requests at the backends
	slow    int64 // those of them that were at the slow one
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
	if err := pause(ctx, times(b, 5*time.Second, 1500*time.Millisecond)); err != nil {
		return nil, err
	}
	learn.Stop()
	before, slowBefore := s.fleet.Total(), s.fleet[0].Counts()
	load := client.Open(ctx, rate, client.Get(h1, "/"))
	defer load.Stop()
	if err := pause(ctx, times(b, 20*time.Second, 2*time.Second)); err != nil {
		return nil, err
	}
	samples := load.Stop()
	return &hedgeRun{samples, since(before, s.fleet.Total()).Requests, since(slowBefore, s.fleet[0].Counts()).Requests}, nil
}
