package lbproxy

import (
	"errors"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/caddylb/caddy-lb/modules/filter"
)

// A filter that breaks a request off takes no place with it.
func TestBrokenOffRequestGivesItsPlaceBack(t *testing.T) {
	abort := func() error { panic(http.ErrAbortHandler) }
	for name, set := range map[string]func(*probeBehaviour){
		"selected": func(b *probeBehaviour) { b.selected = func(*filter.Context) error { return abort() } },
		"request": func(b *probeBehaviour) {
			b.upstreamRequest = func(*filter.Context, *http.Request) error { return abort() }
		},
		"connected": func(b *probeBehaviour) { b.connected = func(filter.Connection) error { return abort() } },
		"answer": func(b *probeBehaviour) {
			b.upstreamResponse = func(*filter.Context, *http.Response) error { return abort() }
		},
	} {
		t.Run(name, func(t *testing.T) {
			probe, filters := newProbe(t)
			set(probe)
			b := startBackend(t, text("ok"))
			p := startProxy(t, filters+","+onePlaceWithQueue(b.URL, `,"limits":{"requests":1}`))
			pool := runningPools()[0]
			if r := <-p.goGet("/"); r.status != 0 {
				t.Fatalf("status %d, want none", r.status)
			}
			if err := probe.end(t); !errors.Is(err, errPanicked) {
				t.Fatalf("the request ended with %v", err)
			}
			m := pool.Snapshot().Members[0]
			if n, all := m.Active(), pool.state.active.Load(); n != 0 || all != 0 {
				t.Errorf("%d places of the backend and %d of the pool are taken", n, all)
			}
			if _, known := m.Latency().Last(); known != (name == "answer") {
				t.Errorf("the latency is known: %v", known)
			}
		})
	}
}

// Nor does it leave the connection of an answer behind that switched protocols, which belongs to nobody then.
func TestBrokenOffUpgradeEndsItsConnection(t *testing.T) {
	probe, filters := newProbe(t)
	probe.upstreamResponse = func(*filter.Context, *http.Response) error { panic(http.ErrAbortHandler) }
	ended := make(chan error, 1)
	b := startBackend(t, func(w http.ResponseWriter, _ *http.Request) {
		c, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			ended <- err
			return
		}
		defer c.Close()
		_, _ = io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: test\r\n\r\n")
		_ = c.SetReadDeadline(time.Now().Add(patience))
		_, err = rw.ReadByte()
		ended <- err
	})
	p := startProxy(t, filters+","+upstreams(b.URL))
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, p.url("/"), http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Connection", "Upgrade")
	r.Header.Set("Upgrade", "test")
	if res, err := p.client.Do(r); err == nil {
		res.Body.Close()
		t.Errorf("status %d, want none", res.StatusCode)
	}
	if err := <-ended; !errors.Is(err, io.EOF) {
		t.Errorf("the backend saw %v, want the end of the connection", err)
	}
}
