package lbproxy

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

// A pool without a configured name is named by its site, and different pools have different names.
func TestNamesOfAnonymousPools(t *testing.T) {
	other := freeAddress(t)
	_, otherPort, _ := strings.Cut(other, ":")
	p := startSites(t, strings.ReplaceAll(`
http://a.localhost:{PORT}, http://www.a.localhost:{PORT} {
	@api path /api* /v1/*
	handle @api {
		lb_proxy 127.0.0.1:1 127.0.0.1:2
	}
	handle /post {
		@post method POST PUT
		lb_proxy @post 127.0.0.1:1 127.0.0.1:2 {
			mirror 127.0.0.1:3
		}
	}
	route {
		@one header X-One 1
		@two header X-Two 1
		lb_proxy @one 127.0.0.1:1
		lb_proxy @two 127.0.0.1:1
		lb_proxy 127.0.0.1:1
		lb_proxy 127.0.0.1:2 127.0.0.1:1
		lb_proxy 127.0.0.1:1
	}
	handle_errors {
		lb_proxy 127.0.0.1:1
	}
}
http://b.localhost:{PORT} {
	lb_proxy 127.0.0.1:1 127.0.0.1:2
}
http://127.0.0.1:{OTHER} {
	bind 127.0.0.1
	lb_proxy 127.0.0.1:1 127.0.0.1:2
}
`, "{OTHER}", otherPort))
	port := ":" + portOf(t, p.address)
	hosts := "a.localhost,www.a.localhost" + port
	var names []string
	for _, p := range shownPools() {
		names = append(names, p.Name())
	}
	for _, want := range []string{
		hosts + " /api*,/v1/*", hosts + " /post POST,PUT", hosts + " /post POST,PUT mirror",
		hosts + " 127.0.0.1:1", hosts + " 127.0.0.1:1#2", hosts + " errors",
		"b.localhost" + port, "127.0.0.1 on 127.0.0.1:" + otherPort,
	} {
		if !slices.Contains(names, want) {
			t.Errorf("no pool %q in %q", want, names)
		}
	}
	for what, n := range map[string]int{"@header~": 2, hosts + " 127.0.0.1:1+1~": 1} {
		got := 0
		for _, name := range names {
			if strings.Contains(name, what) {
				got++
			}
		}
		if got != n {
			t.Errorf("%d pools with %q in %q, want %d", got, what, names, n)
		}
	}
	if slices.Sort(names); len(slices.Compact(slices.Clone(names))) != len(names) || len(names) != 11 {
		t.Errorf("the names are not those of 11 pools: %q", names)
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(collector{})
	if _, err := registry.Gather(); err != nil {
		t.Errorf("metrics: %v", err)
	}
}

// Pools are found by their names, escaped or not, and say which sites use them.
func TestAdminFindsPoolsByName(t *testing.T) {
	p := startSites(t, `
http://a.localhost:{PORT} {
	handle /api/* {
		lb_proxy 127.0.0.1:1
	}
	handle /api/*/x {
		lb_proxy 127.0.0.1:1
	}
}
`)
	name := "a.localhost:" + portOf(t, p.address) + " /api/*"
	for _, path := range []string{
		url.PathEscape(name), strings.ReplaceAll(name, " ", "%20"), url.PathEscape(name) + "/",
		url.PathEscape(name) + "/backends/127.0.0.1:1", strings.ReplaceAll(name, " ", "%20") + "/backends/127.0.0.1%3A1",
		strings.ReplaceAll(name+"/x", " ", "%20") + "/backends/127.0.0.1:1",
	} {
		w := httptest.NewRecorder()
		if err := onePool(w, httptest.NewRequest(http.MethodGet, "/lb/pools/"+path, nil)); err != nil {
			t.Errorf("%s: %v", path, err)
			continue
		}
		var got struct {
			Name, Address string
			Sites         []SiteStatus
		}
		if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(path, "backends") {
			if got.Address != "127.0.0.1:1" {
				t.Errorf("%s: %s", path, w.Body)
			}
			continue
		}
		if got.Name != name || len(got.Sites) != 1 || !slices.Equal(got.Sites[0].Hosts, []string{"a.localhost"}) ||
			got.Sites[0].Site != name || got.Sites[0].Server == "" || !slices.Equal(got.Sites[0].Listen, []string{":" + portOf(t, p.address)}) {
			t.Errorf("%s: %s", path, w.Body)
		}
	}
	if err := onePool(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/lb/pools/a.localhost%20/api", nil)); err == nil {
		t.Error("a pool that is not there is found")
	}
}

// Counters stay with their site over reloads, in whatever order servers are set up, and when a
// backend is added.
func TestCountersStayWithTheirSite(t *testing.T) {
	good, more := startBackend(t, text("ok")), startBackend(t, text("ok"))
	dead := deadAddress(t)
	var sites strings.Builder
	ports := []string{portOf(t, freeAddress(t)), portOf(t, freeAddress(t))}
	for i, policy := range []string{"round_robin", "first"} {
		fmt.Fprintf(&sites, "http://:%s {\nlb_proxy %s %s {\nlb_policy %s\n}\n}\n", ports[i], good.Listener.Addr(), dead, policy)
	}
	site := fmt.Sprintf("http://:{PORT} {\nlb_proxy %s %s {\nlb_policy first\n}\n}\n", good.Listener.Addr(), dead)
	p := startSites(t, sites.String()+site)
	for round := range 5 {
		for range 10 {
			p.get("/")
		}
		for _, pool := range shownPools() {
			m, ok := pool.find(good.Listener.Addr().String())
			if !ok {
				t.Fatal("the backend is not there")
			}
			want := uint64(0)
			if pool.Name() == ":"+portOf(t, p.address) {
				want = uint64(10 * (round + 1))
			}
			if n := m.entry.stats.requests(); n != want {
				t.Errorf("round %d: the pool %s has %d requests, want %d", round, pool.Name(), n, want)
			}
		}
		if round == 3 {
			site = strings.Replace(site, "lb_proxy", "lb_proxy "+more.Listener.Addr().String()+" ", 1)
			site = strings.Replace(site, more.Listener.Addr().String()+"  "+good.Listener.Addr().String(),
				good.Listener.Addr().String()+" "+more.Listener.Addr().String(), 1)
		}
		if round%2 == 0 {
			p.loadSites(site + sites.String())
		} else {
			p.loadSites(sites.String() + site)
		}
	}
}

// What an operator reads as latency is that of answers, however a backend that fails is avoided.
func TestShownLatencyIsThatOfAnswers(t *testing.T) {
	b, dead := startBackend(t, text("ok")), deadAddress(t)
	p := startProxy(t, upstreams(dead, b.URL)+`,"load_balancing":{"selection_policy":{"policy":"first"}}`)
	p.get("/")
	for _, s := range shownPools()[0].status().Backends {
		if s.Address == dead && s.LatencyMs != 0 {
			t.Errorf("a backend that never answered has latency %v ms", s.LatencyMs)
		}
		if s.Address != dead && (s.LatencyMs <= 0 || s.LatencyMs > 4000) {
			t.Errorf("a backend that answers has latency %v ms", s.LatencyMs)
		}
	}
	m, _ := shownPools()[0].find(dead)
	if average, ok := m.Latency().Last(); !ok || average < defaultPenalty {
		t.Errorf("policies see an average of %v for a backend that fails, want its penalty", average)
	}
}
