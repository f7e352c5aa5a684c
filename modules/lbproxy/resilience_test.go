package lbproxy

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyevents"
)

// eventHook is a handler of events that does what a test sets.
type eventHook struct{}

var onEvent = make(chan func(caddy.Event), 10)

func init() { caddy.RegisterModule(eventHook{}) }

func (eventHook) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "events.handlers.lb_proxy_test", New: func() caddy.Module { return new(eventHook) }}
}

func (eventHook) Handle(_ context.Context, e caddy.Event) error {
	(<-onEvent)(e)
	return nil
}

// Interface guard.
var _ caddyevents.Handler = eventHook{}

// Who hears that a backend is empty may drain the next one before the event is over: so a script does that restarts one after the
// other.
func TestNextDrainOnEmptyBackend(t *testing.T) {
	one, two := startBackend(t, text("1")), startBackend(t, text("2"))
	startProxy(t, upstreams(one.URL, two.URL), serverOptions{
		apps: `"events":{"subscriptions":[{"events":["drained"],"handlers":[{"handler":"lb_proxy_test"}]}]}`,
	})
	pool := runningPools()[0]
	drain := func(url string) {
		yes := true
		if err := carryOut(t.Context(), pool, pool.Snapshot().Find(hostOf(url)), &order{drain: &yes}); err != nil {
			t.Error(err)
		}
	}
	hosts := make(chan any, 2)
	onEvent <- func(e caddy.Event) {
		done := make(chan struct{})
		go func() { drain(two.URL); close(done) }()
		select {
		case <-done:
		case <-time.After(patience):
			t.Error("the order waits for the end of the event")
		}
		hosts <- e.Data["host"]
	}
	onEvent <- func(e caddy.Event) { hosts <- e.Data["host"] }
	drain(one.URL)
	for _, want := range []string{one.URL, two.URL} {
		select {
		case got := <-hosts:
			if got != "http://"+hostOf(want) && got != hostOf(want) {
				t.Errorf("%v is empty, want %s", got, want)
			}
		case <-time.After(2 * patience):
			t.Fatal("no event")
		}
	}
}

// A configuration that fails when its pools have begun leaves the bound on connections as it was.
func TestFailedReloadKeepsTheBoundOnConnections(t *testing.T) {
	came, letGo := make(chan struct{}), make(chan struct{})
	b := startBackend(t, func(http.ResponseWriter, *http.Request) { came <- struct{}{}; <-letGo })
	limited := func(n int) string {
		return upstreams(b.URL) + fmt.Sprintf(`,"load_balancing":{"limits":{"connections":%d}}`, n)
	}
	p := startProxy(t, limited(2))
	running := runningPools()[0]
	var config PoolConfig
	if err := json.Unmarshal([]byte("{"+limited(1)+"}"), &config); err != nil {
		t.Fatal(err)
	}
	failing, err := newPool(running.ctx, new(App), identity{}, true, &config)
	if err != nil {
		t.Fatal(err)
	}
	failing.identify(identity{name: running.Name(), key: running.key})
	failing.begin()
	failing.release()
	one := p.goGet("/")
	<-came
	two := p.goGet("/")
	select {
	case <-came:
	case r := <-two:
		t.Errorf("status %d: %s", r.status, r.body)
		two <- r
	}
	close(letGo)
	<-one
	<-two
}
