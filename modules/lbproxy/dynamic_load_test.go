package lbproxy

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
)

// changing is a source that names a good backend under many addresses, of which one changes all the
// time.
type changing struct {
	Port   string         `json:"port"`
	Number int            `json:"number"`
	Every  caddy.Duration `json:"every"`

	began time.Time
	dials []string
}

func init() { caddy.RegisterModule(new(changing)) }

// CaddyModule returns the Caddy module information.
func (*changing) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.reverse_proxy.upstreams.test_changing", New: func() caddy.Module { return new(changing) }}
}

// Provision implements caddy.Provisioner.
func (c *changing) Provision(caddy.Context) error {
	c.began = time.Now()
	for i := range c.Number {
		c.dials = append(c.dials, c.dial(i))
	}
	return nil
}

// GetUpstreams implements reverseproxy.UpstreamSource. Everything from 127.0.0.0/8 is this machine.
func (c *changing) GetUpstreams(r *http.Request) ([]*reverseproxy.Upstream, error) {
	turn, err := strconv.Atoi(r.Header.Get("Turn"))
	if err != nil {
		turn = int(time.Since(c.began) / time.Duration(c.Every))
	}
	all, slab := make([]*reverseproxy.Upstream, c.Number), make([]reverseproxy.Upstream, c.Number)
	for i := range all {
		all[i] = &slab[i]
		all[i].Dial = c.dials[i]
		if i == turn%c.Number {
			all[i].Dial = c.dial(c.Number + turn)
		}
	}
	return all, nil
}

func (c *changing) dial(n int) string {
	return fmt.Sprintf("127.%d.%d.%d:%s", 1+n>>16, n>>8&255, n&255, c.Port)
}

// startChanging runs a handler whose backends are named by changing.
func startChanging(tb testing.TB, port string, number int, every time.Duration) (base *pool) {
	tb.Helper()
	config := fmt.Sprintf(`{"admin":{"disabled":true,"config":{"persist":false}},"logging":{"logs":{"default":{"level":"ERROR"}}},"apps":{
		"tls":{"disable_storage_check":true,"disable_storage_clean":true},
		"http":{"servers":{"s":{"listen":["127.0.0.1:0"],"automatic_https":{"disable":true},"routes":[{"handle":[
			{"handler":"lb_proxy","dynamic_upstreams":{"source":"test_changing","port":%q,"number":%d,"every":%q}}]}]}}}}}`, port, number, every)
	if err := caddy.Load([]byte(config), true); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = caddy.Stop() })
	running.Lock()
	defer running.Unlock()
	return running.apps[len(running.apps)-1].anonymous[0]
}

// Whatever a source names, requests get backends of their answer, and there is one pool, of bounded
// size.
func TestChangingSourceHasOnePool(t *testing.T) {
	base := startChanging(t, "1", 2000, time.Millisecond)
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for i := range 200 {
				r := &http.Request{Header: http.Header{"Turn": {strconv.Itoa(i)}}}
				var a dynamicAnswer
				if err := base.dynamic.source.ask(r, &a); err != nil {
					t.Error(err)
				}
				named := make(map[string]bool)
				for _, u := range a.parts[0].foreign {
					named[u.Dial] = true
				}
				c, err := base.dynamic.chooseFor(r, &a)
				if err != nil {
					t.Error(err)
					return
				}
				for _, m := range c.pinned.Members {
					if !named[m.HostPort()] && !slices.Contains(c.barred, m.Backend) {
						t.Errorf("%s is not in the answer", m.HostPort())
						return
					}
				}
				time.Sleep(100 * time.Microsecond)
			}
		})
	}
	all.Wait()
	if shown := shownPools(); len(shown) != 1 || shown[0].Name() != base.Name()+" test_changing" {
		t.Errorf("there are pools %v", shown)
	}
	members := 0
	for _, p := range runningPools() {
		members += len(p.Snapshot().Members)
	}
	if members > maxViewMembers {
		t.Errorf("the views have %d backends, want at most %d", members, maxViewMembers)
	}
}

// BenchmarkChangeOfAnswer is what one change of a source costs a pool of 10,000 backends, in the
// background.
func BenchmarkChangeOfAnswer(b *testing.B) {
	base := startChanging(b, "1", 10000, time.Nanosecond)
	b.ReportAllocs()
	for b.Loop() {
		var a dynamicAnswer
		_ = base.dynamic.source.ask(new(http.Request), &a)
		g, err := base.dynamic.add(a.key)
		if err != nil {
			b.Fatal(err)
		}
		g.mu.Lock()
		_, err = g.take(&a)
		g.mu.Unlock()
		if err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkSameAnswer is what a request costs whose source names 10,000 backends as before, the
// source's own work included.
func BenchmarkSameAnswer(b *testing.B) {
	base := startChanging(b, "1", 10000, time.Hour)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := base.dynamic.choose(new(http.Request)); err != nil {
			b.Fatal(err)
		}
	}
}
