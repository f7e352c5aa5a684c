package caddytest

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/pires/go-proxyproto"
)

var checkFaults = []fault{
	{
		name: "consecutive_counters", what: "`health_fails 3`, and checks that fail, pass, fail, pass, fail, pass",
		run:   alternatingChecks,
		stock: "down: it gets 0 of 20 requests",
		ours:  "up: it gets 10 of 20 requests",
	},
	{
		name: "check_pile_up", what: "a backend that keeps its checks waiting for longer than `health_interval`",
		run:   slowChecks,
		stock: "more than 10 checks of it at once after 20 intervals",
		ours:  "one check of it at a time",
	},
	{
		name: "checks_share_connections", what: "checks of a backend that has traffic",
		run:   checkConnections,
		stock: "checks go over the connections of the traffic",
		ours:  "checks have connections of their own",
	},
	{
		name: "checks_with_proxy_protocol", what: "checks of a backend that expects the PROXY protocol",
		run:   checksWithProxyProtocol,
		stock: "every check fails, and requests are answered 503",
		ours:  "checks pass, and requests are answered 200",
	},
	{
		name: "no_checks_for_dynamic_upstreams", what: "`health_uri` beside `dynamic`",
		run:   checksOfDynamicUpstreams,
		stock: "dynamic upstreams are not checked",
		ours:  "dynamic upstreams are checked",
	},
}

// set is a set of strings. The zero value is empty; it is safe for concurrent use.
type set struct {
	mu  sync.Mutex
	all map[string]bool
}

func (s *set) add(v string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.all == nil {
		s.all = make(map[string]bool)
	}
	s.all[v] = true
}

func (s *set) has(v string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.all[v]
}

func (s *set) size() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.all)
}

func alternatingChecks(t *testing.T, proxy string) string {
	b := NewBackends(t, "A", "B")
	var results checkScript
	b[0].healthScript = results.next
	// So many passes are asked for that a backend once down stays down.
	s := startAs(t, proxy, `http://127.0.0.1:{$PORT} {
	{$PROXY} {$A} {$B} {
		lb_policy round_robin
		health_uri /health
		health_interval 50ms
		health_fails 3
		health_passes 10000
	}
}
`, addresses(b...))
	results.play(500, 200, 500, 200, 500, 200)
	eventually(t, "the checks come", func() bool {
		results.mu.Lock()
		defer results.mu.Unlock()
		return results.spare > 3 // several, as stock does not wait for one to end before the next
	})
	s.spread(s.URL("PORT", "/"), 20)
	state := "up"
	if b[0].Hits() == 0 {
		state = "down"
	}
	return fmt.Sprintf("%s: it gets %d of 20 requests", state, b[0].Hits())
}

func slowChecks(t *testing.T, proxy string) string {
	b := NewBackends(t, "A", "B")
	release := make(chan struct{})
	defer close(release)
	var begun atomic.Int64
	b[0].healthScript = func() int {
		begun.Add(1)
		<-release
		return http.StatusOK
	}
	startAs(t, proxy, `http://127.0.0.1:{$PORT} {
	{$PROXY} {$A} {$B} {
		health_uri /health
		health_interval 20ms
		health_timeout 1h
	}
}
`, addresses(b...))
	eventually(t, "the quick backend is checked often", func() bool { return begun.Load() > 0 && b[1].Checks() > 20 })
	switch n := begun.Load(); {
	case n == 1:
		return "one check of it at a time"
	case n > 10:
		return "more than 10 checks of it at once after 20 intervals"
	default:
		return fmt.Sprintf("%d checks of it at once after 20 intervals", n)
	}
}

func checkConnections(t *testing.T, proxy string) string {
	b := NewBackends(t, "A")
	var traffic set
	var checks, shared atomic.Int64
	b[0].Do(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path != "/up":
			traffic.add(r.RemoteAddr)
		case traffic.has(r.RemoteAddr):
			shared.Add(1)
			fallthrough
		default:
			checks.Add(1)
		}
		answer(http.StatusOK)(w, r)
	})
	s := startAs(t, proxy, `http://127.0.0.1:{$PORT} {
	{$PROXY} {$A} {
		health_uri /up
		health_interval 20ms
	}
}
`, addresses(b...))
	s.spread(s.URL("PORT", "/"), 3)
	before := checks.Load()
	eventually(t, "checks come after the requests", func() bool { return checks.Load() > before+3 })
	if shared.Load() > 0 {
		return "checks go over the connections of the traffic"
	}
	return "checks have connections of their own"
}

func checksWithProxyProtocol(t *testing.T, proxy string) string {
	var checks atomic.Int64
	backend := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/up" {
			checks.Add(1)
		}
	}))
	backend.Listener = &proxyproto.Listener{
		Listener: backend.Listener,
		ConnPolicy: func(proxyproto.ConnPolicyOptions) (proxyproto.Policy, error) {
			return proxyproto.REQUIRE, nil
		},
	}
	backend.Start()
	t.Cleanup(backend.Close)
	s := startAs(t, proxy, `http://127.0.0.1:{$PORT} {
	{$PROXY} {$A} {
		health_uri /up
		health_interval 50ms
		transport http {
			proxy_protocol v2
		}
	}
}
`, map[string]string{"A": backend.Listener.Addr().(*net.TCPAddr).String()})
	eventually(t, "a check had its effect", func() bool {
		return checks.Load() > 2 || s.Get(s.URL("PORT", "/")).Status == http.StatusServiceUnavailable
	})
	result := "checks pass"
	if checks.Load() == 0 {
		result = "every check fails"
	}
	return fmt.Sprintf("%s, and requests are answered %d", result, s.Get(s.URL("PORT", "/")).Status)
}

func checksOfDynamicUpstreams(t *testing.T, proxy string) string {
	b := NewBackends(t, "A", "S")
	_, port, err := net.SplitHostPort(b[0].Addr)
	if err != nil {
		t.Fatal(err)
	}
	vars := addresses(b...)
	vars["PORTOFA"], vars["DNS"] = port, newZone(t, "app.internal", "127.0.0.1").addr
	s := startAs(t, proxy, `http://127.0.0.1:{$PORT} {
	{$PROXY} {$S} {
		dynamic a {
			name app.internal
			port {$PORTOFA}
			resolvers {$DNS}
			versions ipv4
		}
		health_uri /health
		health_interval 50ms
	}
}
`, vars)
	if r := s.Get(s.URL("PORT", "/")); r.Backend() != "A" {
		t.Fatalf("status %d from %q, want an answer of the dynamic upstream", r.Status, r.Backend())
	}
	before := b[1].Checks()
	eventually(t, "the static upstream is checked", func() bool { return b[1].Checks() > before+10 })
	if b[0].Checks() == 0 {
		return "dynamic upstreams are not checked"
	}
	return "dynamic upstreams are checked"
}
