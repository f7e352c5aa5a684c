package filter

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/caddylb/caddy-lb/lb"
)

func init() {
	caddy.RegisterModule(new(fakeCounters))
	caddy.RegisterModule(new(silentCounters))
	caddy.RegisterModule(new(fakeCluster))
}

// fakeCluster stands for the app lb_cluster.
type fakeCluster struct{ fakeCounters }

func (*fakeCluster) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "lb_cluster", New: func() caddy.Module { return new(fakeCluster) }}
}

func (*fakeCluster) Start() error { return nil }

func (*fakeCluster) Stop() error { return nil }

// fakeCounters are lb.counters.fake: they answer what a test says, and remember what they were asked.
type fakeCounters struct {
	URL      string `json:"url,omitempty"`
	Required bool   `json:"required,omitempty"`

	mu     sync.Mutex
	answer lb.Taken
	err    error
	keys   []string
	limits []lb.Limit
}

var errAway = errors.New("away")

func (*fakeCounters) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "lb.counters.fake", New: func() caddy.Module { return new(fakeCounters) }}
}

func (c *fakeCounters) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next()
	d.Next()
	c.URL = d.Val()
	return nil
}

func (c *fakeCounters) Take(_ context.Context, key string, limit lb.Limit) (lb.Taken, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.keys, c.limits = append(c.keys, key), append(c.limits, limit)
	return c.answer, c.err
}

// silentCounters are lb.counters.silent, a module that does not count.
type silentCounters struct{}

func (*silentCounters) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "lb.counters.silent", New: func() caddy.Module { return new(silentCounters) }}
}

func (*silentCounters) UnmarshalCaddyfile(*caddyfile.Dispenser) error { return nil }

// observe has the test see what a filter logs.
func observe(l *timed) *observer.ObservedLogs {
	core, logs := observer.New(zapcore.InfoLevel)
	l.logger = zap.New(core)
	return logs
}

// newShared is newTimed with counters that are shared.
func newShared(t *testing.T, text string) (*timed, *fakeCounters, *observer.ObservedLogs) {
	t.Helper()
	l := newTimed(t, text)
	counters, ok := l.shared.(*fakeCounters)
	if !ok {
		t.Fatalf("the counters are %T", l.shared)
	}
	return l, counters, observe(l)
}

func TestSharedCountersDecide(t *testing.T) {
	l, counters, _ := newShared(t, "rate_limit {client_ip} 1/m burst 5 {\n storage fake://one\n required\n}")
	if counters.URL != "fake://one" || !counters.Required {
		t.Errorf("counters %q, required: %v", counters.URL, counters.Required)
	}
	counters.answer = lb.Taken{Allowed: true, Remaining: 3, Reset: 90 * time.Second}
	l.want(t, "192.0.2.1", 200, "5 3 90 ")
	l.want(t, "192.0.2.1", 200, "5 3 90 ")
	counters.answer = lb.Taken{RetryAfter: 1500 * time.Millisecond, Reset: time.Second}
	l.want(t, "192.0.2.2", 429, "5 0 1 2")

	if want := (lb.Limit{Events: 1, Window: time.Minute, Burst: 5}); counters.limits[0] != want {
		t.Errorf("asked for %+v, want %+v", counters.limits[0], want)
	}
	if k := counters.keys; k[0] != k[1] || k[0] == k[2] || !strings.HasSuffix(k[2], "192.0.2.2") {
		t.Errorf("keys %q", k)
	}
	// A limit of another definition does not count with this one; how an instance keeps its own keys is its own affair.
	for text, same := range map[string]bool{
		"rate_limit {client_ip} 1/m burst 5 {\n storage fake://one\n max_keys 10\n}": true,
		"rate_limit {client_ip} 1/m burst 6 {\n storage fake://one\n}":               false,
		"rate_limit {client_ip} 1/m burst 5 {\n storage fake://one\n name other\n}":  false,
		"rate_limit {remote_host} 1/m burst 5 {\n storage fake://one\n}":             false,
	} {
		if other := newTimed(t, text); (other.sharedPrefix == l.sharedPrefix) != same {
			t.Errorf("%s: prefix %q beside %q", text, other.sharedPrefix, l.sharedPrefix)
		}
	}
}

// TestLocalLimitDecidesWhileCountersAreAway: what is logged is the change, and not each request.
func TestLocalLimitDecidesWhileCountersAreAway(t *testing.T) {
	l, counters, logs := newShared(t, "rate_limit {client_ip} 2/m {\n storage fake://two\n}")
	for range 2 {
		counters.err = errAway
		l.want(t, "192.0.2.1", 200, "2 1 30 ")
		l.want(t, "192.0.2.1", 200, "2 0 60 ")
		l.want(t, "192.0.2.1", 429, "2 0 60 30")
		counters.answer, counters.err = lb.Taken{Allowed: true, Remaining: 7}, nil
		l.want(t, "192.0.2.1", 200, "2 7 0 ")
		l.want(t, "192.0.2.1", 200, "2 7 0 ")
		l.now += time.Hour
	}
	var told []string
	for _, entry := range logs.All() {
		told = append(told, entry.Level.String())
	}
	if got := strings.Join(told, " "); got != "warn info warn info" {
		t.Errorf("logged %s: %v", got, logs.All())
	}
	if a, r, f := l.state.results.get(allowed), l.state.results.get(refused), l.state.results.get(localFallback); a != 8 || r != 2 || f != 6 {
		t.Errorf("%d allowed, %d refused, %d decided here", a, r, f)
	}
}

// TestClientThatLeftSaysNothingAboutCounters: that its request was broken off is not their failure.
func TestClientThatLeftSaysNothingAboutCounters(t *testing.T) {
	l, counters, logs := newShared(t, "rate_limit {client_ip} 2/m {\n storage fake://three\n}")
	counters.err = context.Canceled
	r := httptest.NewRequest(http.MethodGet, "http://site/", http.NoBody)
	ctx, cancel := context.WithCancel(r.Context())
	cancel()
	x := fromClient(r.WithContext(ctx), "192.0.2.1")
	if err := l.chain.Request(x, proxied); err != nil {
		t.Error(err)
	}
	if logs.Len() != 0 {
		t.Errorf("logged %v", logs.All())
	}
}

// TestClusterIsUsedUnlessLocal: with an lb_cluster limits are shared, but those that say local or have a storage of their own.
func TestClusterIsUsedUnlessLocal(t *testing.T) {
	const options = `{"key":"{a}","events":1,"window":"1s","name":"clustered"`
	for apps, wants := range map[string]map[string]string{
		"lb_cluster": {
			options + `}`:                              "*filter.fakeCluster",
			options + `,"local":true}`:                 "<nil>",
			options + `,"storage":{"module":"fake"}}`:  "*filter.fakeCounters",
			options + `,"algorithm":"sliding_window"}`: "*filter.fakeCluster",
		},
		"": {options + `}`: "<nil>", options + `,"local":true}`: "<nil>"},
	} {
		cfg := new(caddy.Config)
		if apps != "" {
			cfg.AppsRaw = caddy.ModuleMap{apps: []byte(`{}`)}
		}
		ctx, err := caddy.ProvisionContext(cfg)
		if err != nil {
			t.Fatal(err)
		}
		for text, want := range wants {
			module, err := ctx.LoadModuleByID("http.lb_proxy.filters.rate_limit", []byte(text))
			if err != nil {
				t.Fatal(err)
			}
			f := module.(*RateLimit)
			if got := fmt.Sprintf("%T", f.shared); got != want {
				t.Errorf("%s: counted by %s, want %s", text, got, want)
			}
			_ = f.Cleanup()
		}
	}
}
