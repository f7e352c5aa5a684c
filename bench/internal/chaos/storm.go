package chaos

import (
	"context"
	"time"

	"github.com/caddylb/caddy-lb/bench/internal/chaos/client"
	"github.com/caddylb/caddy-lb/bench/internal/chaos/fleet"
	"github.com/caddylb/caddy-lb/bench/internal/chaos/proxy"
)

var stormScenario = Scenario{
	Name: "retry-storm",
	About: "Ten backends all answer 500 to half of the requests, 500 a second; up to three retries are configured, for `lb_proxy` with a " +
		"budget of 20 %.",
	run: runStorm,
}

func runStorm(ctx context.Context, b *Bed, p proxy.Peer) ([]Figure, error) {
	const rate, timeout = 500, 10 * time.Second
	s, err := b.open(ctx, p, 10, fleet.Options{Service: 5 * time.Millisecond}, &proxy.Setup{Config: proxy.RetryStorm})
	if err != nil {
		return nil, err
	}
	defer s.close()
	for _, backend := range s.fleet {
		backend.Break(fleet.FailHalf)
	}
	h1 := &client.H1{Addr: s.Addr(), Timeout: timeout}
	defer h1.Close()
	load := client.Open(ctx, rate, client.Get(h1, "/"))
	defer load.Stop()
	if err := proxy.Pause(ctx, times(b, 10*time.Second, 3*time.Second)); err != nil {
		return nil, err
	}
	all := load.Stop()
	return []Figure{
		count("requests", len(all)),
		sentLate(all),
		ratio("tries for a request", float64(s.fleet.Total().Requests), float64(len(all))).atMost(1.2, 1.25),
		percent("requests answered well", float64(len(all)-len(all.Failed())), float64(len(all))),
		failures("failed other than by an error status", all.With(client.Broken, client.Stale, client.Cut, client.Refused, client.Timeout)).atMost(0, 0),
	}, nil
}
