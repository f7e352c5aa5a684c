package chaos

import (
	"context"
	"time"

	"github.com/caddylb/caddy-lb/bench/internal/chaos/client"
	"github.com/caddylb/caddy-lb/bench/internal/chaos/fleet"
	"github.com/caddylb/caddy-lb/bench/internal/chaos/proxy"
)

var rollingScenario = Scenario{
	Name: "rolling",
	About: "Ten backends that answer in 20 ms, 400 requests a second. One after the other is drained, killed as soon as the proxy says that it is empty, " +
		"started again after half a second, and taken in again: with `lb_proxy` through the admin API, with HAProxy through the runtime API. With " +
		"`reverse_proxy` it is taken out of the configuration for that time, and killed after a second.",
	run: runRolling,
}

func runRolling(ctx context.Context, b *Bed, p proxy.Peer) ([]Figure, error) {
	const rate, timeout = 400, 10 * time.Second
	s, err := b.open(ctx, p, 10, fleet.Options{Service: 20 * time.Millisecond}, &proxy.Setup{Config: proxy.Service})
	if err != nil {
		return nil, err
	}
	defer s.close()
	h1 := &client.H1{Addr: s.Addr(), Timeout: timeout}
	defer h1.Close()
	load := client.Open(ctx, rate, client.Get(h1, "/"))
	defer load.Stop()
	if err := proxy.Pause(ctx, time.Second); err != nil {
		return nil, err
	}
	began := load.Now()
	n := times(b, len(s.fleet), 3)
	var draining time.Duration
	for _, backend := range s.fleet[:n] {
		from := load.Now()
		if err := drain(ctx, s, backend); err != nil {
			return nil, err
		}
		draining = max(draining, load.Now()-from)
		if err := restart(ctx, s, backend); err != nil {
			return nil, err
		}
	}
	took := load.Now() - began
	if err := proxy.Pause(ctx, 500*time.Millisecond); err != nil {
		return nil, err
	}
	all := load.Stop()
	return []Figure{
		count("requests", len(all)),
		sentLate(all),
		failures("failed", all).atMost(0, 0),
		millis("p99 before", all.Between(0, began).Quantile(0.99)),
		millis("p99 while backends restarted", all.Between(began, began+took).Quantile(0.99)),
		millis("longest time until a backend was empty", draining),
		seconds("all restarted after", took),
	}, nil
}

func drain(ctx context.Context, s *site, b *fleet.Backend) error {
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	return s.Drain(ctx, b.Addr())
}

func restart(ctx context.Context, s *site, b *fleet.Backend) error {
	b.Kill()
	if err := proxy.Pause(ctx, 500*time.Millisecond); err != nil {
		return err
	}
	if err := b.Restart(); err != nil {
		return err
	}
	if err := s.Undrain(ctx, b.Addr()); err != nil {
		return err
	}
	return proxy.Pause(ctx, 500*time.Millisecond)
}
