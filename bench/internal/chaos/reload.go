package chaos

import (
	"context"
	"time"

	"github.com/caddylb/caddy-lb/bench/internal/chaos/client"
	"github.com/caddylb/caddy-lb/bench/internal/chaos/fleet"
	"github.com/caddylb/caddy-lb/bench/internal/chaos/proxy"
)

var reloadScenario = Scenario{
	Name: "reload",
	About: "The configuration is reloaded each second for a minute, while 16 HTTP/1.1 clients with keep-alive, eight HTTP/2 clients over TLS, eight " +
		"WebSockets and four uploads (chunked, of 64 KiB over 0.4 s) are busy, and eight requests at a time want one of two places at a backend of a " +
		"second pool, which takes 100 ms. HAProxy reloads by SIGUSR2 in master-worker mode.",
	run: runReload,
}

// reloadLoads are the loads of one run.
type reloadLoads struct {
	h1, h2, ws, uploads, queued *client.Run
	closers                     []func()
}

func runReload(ctx context.Context, b *Bed, p proxy.Peer) ([]Figure, error) {
	const slots = 2
	narrow, err := fleet.Start(1, fleet.Options{Service: 100 * time.Millisecond})
	if err != nil {
		return nil, err
	}
	defer narrow.Close()
	s, err := b.open(ctx, p, 4, fleet.Options{Service: 5 * time.Millisecond},
		&proxy.Setup{Config: proxy.Reload, Narrow: narrow.Addresses(), Capacity: slots, Queue: 100})
	if err != nil {
		return nil, err
	}
	defer s.close()
	load, err := startReloadLoads(ctx, s, b.Certificates.Cert)
	if err != nil {
		return nil, err
	}
	defer load.stop()
	if err := proxy.Pause(ctx, 2*time.Second); err != nil {
		return nil, err
	}
	before := s.fleet.Total().Conns + narrow.Total().Conns
	n := times(b, 60, 5)
	for range n {
		if err := s.Reload(ctx); err != nil {
			return nil, err
		}
		if err := proxy.Pause(ctx, time.Second); err != nil {
			return nil, err
		}
	}
	opened := s.fleet.Total().Conns + narrow.Total().Conns - before
	return load.figures(n, opened, narrow[0].Peak()), nil
}

func startReloadLoads(ctx context.Context, s *site, cert string) (*reloadLoads, error) {
	const timeout = 15 * time.Second
	l := &reloadLoads{}
	// Each client has connections of its own, as browsers do.
	own := func(send func(*client.H1) client.Send) func(int) client.Send {
		return func(int) client.Send { return send(&client.H1{Addr: s.Addr(), Timeout: timeout}) }
	}
	h2, closeH2, err := client.H2(s.TLSAddr(), cert, timeout)
	if err != nil {
		return nil, err
	}
	l.closers = append(l.closers, closeH2)
	l.h1 = client.Closed(ctx, 16, 5*time.Millisecond, own(func(c *client.H1) client.Send { return client.Get(c, "/") }))
	l.h2 = client.Closed(ctx, 8, 10*time.Millisecond, func(int) client.Send { return h2 })
	l.ws = client.Closed(ctx, 8, 50*time.Millisecond, func(int) client.Send { return client.WebSocket(s.Addr(), timeout) })
	l.uploads = client.Closed(ctx, 4, 50*time.Millisecond,
		own(func(c *client.H1) client.Send { return client.Upload(c, 8, 8<<10, 50*time.Millisecond) }))
	l.queued = client.Closed(ctx, 8, 10*time.Millisecond, own(func(c *client.H1) client.Send { return client.Get(c, "/narrow") }))
	return l, nil
}

// stop ends all loads; it may be called twice.
func (l *reloadLoads) stop() {
	for _, run := range []*client.Run{l.h1, l.h2, l.ws, l.uploads, l.queued} {
		run.Stop()
	}
	for _, c := range l.closers {
		c()
	}
}

func (l *reloadLoads) figures(reloads int, opened int64, peak int) []Figure {
	l.stop()
	h1, h2, ws, uploads, queued := l.h1.Stop(), l.h2.Stop(), l.ws.Stop(), l.uploads.Stop(), l.queued.Stop()
	var stale client.Samples
	rest := func(s client.Samples) client.Samples {
		stale = append(stale, s.With(client.Stale)...)
		return s.With(client.Status, client.Broken, client.Cut, client.Refused, client.Timeout)
	}
	figures := []Figure{
		count("reloads", reloads),
		count("requests over HTTP/1.1", len(h1)),
		failures("failed of these", rest(h1)).atMost(0, 0),
		count("requests over HTTP/2", len(h2)),
		failures("failed of HTTP/2", h2).atMost(0, 0),
		count("WebSocket messages", len(ws)),
		failures("failed of WebSocket", ws).atMost(0, 0),
		count("uploads", len(uploads)),
		failures("failed of uploads", rest(uploads)).atMost(0, 0),
		count("requests through the queue", len(queued)),
		failures("failed of the queue", rest(queued)).atMost(0, 0),
		count("most at once at the backend with two places", peak).atMost(2, 2),
	}
	perReload := float64(reloads)
	return append(figures,
		ratio("idle client connections closed as a request arrived, for each reload", float64(len(stale)), perReload),
		ratio("connections to backends opened, for each reload", float64(opened), perReload).atMost(0.5, 3),
		millis("p99 over HTTP/1.1", h1.Quantile(0.99)),
		millis("longest over HTTP/1.1", h1.Quantile(1)),
	)
}
