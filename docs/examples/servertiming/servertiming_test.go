package servertiming

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/caddylb/caddy-lb/modules/filter"
)

func TestServerTiming(t *testing.T) {
	clock := time.Unix(0, 0)
	chain, err := filter.NewChain([]filter.Named{
		{Name: "server_timing", Filter: &ServerTiming{Metric: "app", now: func() time.Time { return clock }}},
	}, 0)
	if err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	x := filter.NewContext(w, httptest.NewRequest(http.MethodGet, "/", http.NoBody), "pool", zap.NewNop())

	x.Try = 1
	if err := chain.UpstreamSelected(x); err != nil {
		t.Fatal(err)
	}
	clock = clock.Add(20 * time.Millisecond)
	if err := chain.Response(x, http.StatusOK, func(int) error { return nil }); err != nil {
		t.Fatal(err)
	}
	if got, want := w.Header().Get("Server-Timing"), `app;dur=20.0;desc="try 1"`; got != want {
		t.Errorf("Server-Timing: %s, want %s", got, want)
	}
}
