package lbproxy

import (
	"errors"
	"net/http"
	"testing"

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
