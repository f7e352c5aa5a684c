package lbproxy

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
)

// byRequest is a source whose answers depend on the request, with weights.
type byRequest struct{}

func init() { caddy.RegisterModule(byRequest{}) }

// CaddyModule returns the Caddy module information.
func (byRequest) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.reverse_proxy.upstreams.test_by_request", New: func() caddy.Module { return byRequest{} }}
}

// GetUpstreams implements reverseproxy.UpstreamSource.
func (byRequest) GetUpstreams(r *http.Request) ([]*reverseproxy.Upstream, error) {
	var out []*reverseproxy.Upstream
	for _, dial := range r.Header["X-To"] {
		out = append(out, &reverseproxy.Upstream{Dial: dial, MaxRequests: 1000})
	}
	return out, nil
}

// Weight implements WeightedSource: what the port ends in.
func (byRequest) Weight(u *reverseproxy.Upstream) int { return int(u.Dial[len(u.Dial)-1]-'0') + 1 }

// Each request is given to backends of its own answer, however answers change from request to
// request.
func TestAnswersThatDependOnTheRequest(t *testing.T) {
	var addresses []string
	for range 4 {
		b := startBackend(t, nil)
		address := b.Listener.Addr().String()
		b.Config.Handler = text(address)
		addresses = append(addresses, address)
	}
	dead := deadAddress(t)
	p := startProxy(t, `"dynamic_upstreams":{"source":"test_by_request"},"load_balancing":{"retries":1}`)
	var all sync.WaitGroup
	for i := range 4 {
		all.Go(func() {
			for n := range 50 {
				own := []string{addresses[i], addresses[(i+n)%4], fmt.Sprintf("127.0.0.%d:%s", n+2, portOf(t, dead))}
				r := p.get("/", "X-To", own[0], "X-To", own[1], "X-To", own[2])
				if r.status != 200 || r.body != own[0] && r.body != own[1] {
					t.Errorf("status %d from %s, want one of %v", r.status, r.body, own)
				}
			}
		})
	}
	all.Wait()
	if n := len(runningPools()); n > maxViews {
		t.Errorf("%d pools are kept, want at most %d", n, maxViews)
	}
	shown := shownPools()
	if len(shown) != 1 {
		t.Fatalf("%d pools are shown, want one", len(shown))
	}
	var requests uint64
	for _, b := range shown[0].status().Backends {
		if strings.HasPrefix(b.Address, "127.0.0.1:") {
			requests += b.Requests
		}
	}
	if requests != 200 {
		t.Errorf("%d requests are counted, want 200", requests)
	}
}

func TestWeightsOfForeignSources(t *testing.T) {
	p := startProxy(t, `"dynamic_upstreams":{"source":"test_by_request"}`)
	p.get("/", "X-To", "127.0.0.1:12", "X-To", "127.0.0.1:19")
	for _, b := range shownPools()[0].status().Backends {
		if want := map[string]int{"127.0.0.1:12": 3, "127.0.0.1:19": 10}[b.Address]; b.Weight != want {
			t.Errorf("%s has weight %d, want %d", b.Address, b.Weight, want)
		}
	}
}

// One pool follows a name, with its counters, whatever it resolves to; another name has another
// pool.
func TestDynamicPoolForEachName(t *testing.T) {
	b := startBackend(t, text("here"))
	z := startZone(t)
	port := portOf(t, b.Listener.Addr().String())
	z.set("one.test. A", "A 127.0.0.1")
	z.set("two.test. A", "A 127.0.0.1")
	p := startProxy(t, z.dynamicA("{http.request.uri.query.name}.test", port, "5ms"))
	for i := range 4 {
		p.get("/?name=two")
		z.set("one.test. A", "A 127.0.0.1", fmt.Sprintf("A 127.0.0.%d", i+2))
		eventually(t, "the new address", func() bool {
			p.get("/?name=one")
			return shownNamed(p.address+" one.test:"+port).Snapshot().Find(fmt.Sprintf("127.0.0.%d:%s", i+2, port)) != nil
		})
	}
	if n := len(runningPools()); n != 2 {
		t.Errorf("there are %d pools for two names", n)
	}
	m, _ := shownNamed(p.address + " two.test:" + port).find("127.0.0.1:" + port)
	if n := m.entry.stats.requests(); n != 4 {
		t.Errorf("%d requests are counted for a pool that had 4", n)
	}
}
