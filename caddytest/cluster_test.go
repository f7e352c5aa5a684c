package caddytest

import (
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

const clustered = `{
	lb_cluster {$REDIS} {
		timeout 1s
	}
	lb_pool p {
		backend {$A} weight 3
		backend {$B} weight 1
		backend {$C} weight 1
	}
}
http://127.0.0.1:{$PORT} {
	lb_proxy {
		pool p
	}
}
http://127.0.0.1:{$PORT2} {
	lb_proxy {$A} {$B}
}
`

// startClustered starts instances of one cluster.
func startClustered(t *testing.T, r *Redis, n int, b []*Backend) []*Server {
	t.Helper()
	all := make([]*Server, n)
	for i := range all {
		vars := addresses(b...)
		vars["REDIS"] = r.URL()
		all[i] = Start(t, clustered, vars)
	}
	return all
}

// spreads waits until every instance sees a backend in a state, and returns how long that took.
func spreads(t *testing.T, what string, all []*Server, holds func(s *Server) bool) time.Duration {
	t.Helper()
	began := time.Now()
	for _, s := range all {
		eventually(t, what, func() bool { return holds(s) })
	}
	return time.Since(began)
}

func TestClusterSharesOrders(t *testing.T) {
	r := StartRedis(t)
	b := NewBackends(t, "A", "B", "C")
	all := startClustered(t, r, 2, b)
	within := time.Second
	if raceEnabled {
		within = 3 * time.Second
	}
	for _, c := range []struct {
		from  int
		order string
		state string
		share int // A's of 50 requests, of which weights give it 30
	}{
		{0, `{"drain":true}`, "drained", 0},
		{1, `{"drain":false}`, "up", 30},
		{1, `{"weight":8}`, "up", 40},
		{0, `{"drain":true}`, "drained", 0},
		{0, `{"drain":false, "weight":3}`, "up", 30},
	} {
		all[c.from].patch("p", b[0].Addr, c.order)
		took := spreads(t, c.order+" is with all", all, func(s *Server) bool {
			return s.backend("p", b[0].Addr).State == c.state && s.spread(s.URL("PORT", "/"), 50)["A"] == c.share
		})
		t.Logf("%s was with all after %s", c.order, took)
		if took > within {
			t.Errorf("%s was with all after %s", c.order, took)
		}
	}
	if up := all[0].metric("caddy_lb_cluster_up", "redis", strings.TrimPrefix(r.URL(), "redis://")+"/0"); up != 1 {
		t.Errorf("caddy_lb_cluster_up is %v", up)
	}
}

// Handlers' own backends are one backend each, whatever the handler.
func TestClusterSharesOrdersOfAnonymousPools(t *testing.T) {
	r := StartRedis(t)
	b := NewBackends(t, "A", "B", "C")
	all := startClustered(t, r, 2, b)
	pool := func(s *Server) string { return "127.0.0.1:" + s.vars["PORT2"] }
	state := func(want string) func(*Server) bool {
		return func(s *Server) bool { return s.backend(pool(s), b[1].Addr).State == want }
	}
	all[0].patch(pool(all[0]), b[1].Addr, `{"drain":true}`)
	spreads(t, "the drain is with all", all, state("drained"))
	if got := all[1].backend("p", b[1].Addr).State; got != "up" {
		t.Errorf("in a pool with a name the backend is %s", got)
	}
	all[1].patch(pool(all[1]), b[1].Addr, `{"drain":false}`)
	spreads(t, "the drain is taken back", all, state("up"))
}

func TestClusterOrdersMeetConfigurations(t *testing.T) {
	r := StartRedis(t)
	b := NewBackends(t, "A", "B", "C")
	s := startClustered(t, r, 1, b)[0]
	// An order for a backend that is there only later.
	s.mustReload(strings.Replace(clustered, "backend {$B} weight 1", "", 1))
	other := startClustered(t, r, 1, b)[0]
	other.patch("p", b[1].Addr, `{"drain":true}`)
	other.patch("p", b[0].Addr, `{"weight":8}`)
	eventually(t, "the weight arrives", func() bool { return s.backend("p", b[0].Addr).Weight == 8 })
	s.mustReload(clustered)
	if got := s.backend("p", b[1].Addr).State; got != "drained" {
		t.Errorf("the backend that was drained elsewhere comes as %s", got)
	}
	// A weight that is configured anew wins over an order.
	s.mustReload(strings.Replace(clustered, "{$A} weight 3", "{$A} weight 2", 1))
	if got := s.backend("p", b[0].Addr).Weight; got != 2 {
		t.Errorf("with another weight configured it is %d", got)
	}
	newcomer := startClustered(t, r, 1, b)[0]
	if a, b := newcomer.backend("p", b[0].Addr), newcomer.backend("p", b[1].Addr); a.Weight != 8 || b.State != "drained" {
		t.Errorf("a new instance begins with %+v and %+v", a, b)
	}
	// Without the option nothing more is heard.
	s.mustReload(strings.Replace(clustered, "lb_cluster {$REDIS} {\n\t\ttimeout 1s\n\t}", "", 1))
	other.patch("p", b[2].Addr, `{"drain":true}`)
	spreads(t, "the others hear", []*Server{newcomer}, func(s *Server) bool { return s.backend("p", b[2].Addr).State == "drained" })
	if got := s.backend("p", b[2].Addr).State; got != "up" {
		t.Errorf("an instance that left has the backend %s", got)
	}
}

func TestClusterWithoutRedis(t *testing.T) {
	r := StartRedis(t)
	b := NewBackends(t, "A", "B", "C")
	all := startClustered(t, r, 2, b)
	var stop atomic.Bool
	var clients sync.WaitGroup
	for range 4 {
		clients.Go(func() {
			for !stop.Load() {
				reply, err := fetch(all[0].Client, newRequest(t, http.MethodGet, all[0].URL("PORT", "/"), ""))
				if err != nil || reply.Status != http.StatusOK {
					t.Errorf("a request failed: %d, %v", reply.Status, err)
					return
				}
			}
		})
	}
	defer clients.Wait()
	defer stop.Store(true)

	all[0].patch("p", b[1].Addr, `{"drain":true}`)
	spreads(t, "the first order is with all", all, func(s *Server) bool { return s.backend("p", b[1].Addr).State == "drained" })
	r.Down()
	away := func(l LogLine) bool { return strings.HasPrefix(l.Text("msg"), "Redis is away") }
	for _, s := range all {
		s.WaitLog(t, "that Redis is away", away)
	}
	name := strings.TrimPrefix(r.URL(), "redis://") + "/0"
	if up := all[0].metric("caddy_lb_cluster_up", "redis", name); up != 0 {
		t.Errorf("caddy_lb_cluster_up is %v without Redis", up)
	}
	// An order holds where it was given, and everywhere when Redis is back.
	all[0].patch("p", b[0].Addr, `{"drain":true}`)
	if got := all[0].backend("p", b[0].Addr).State; got != "drained" {
		t.Errorf("the backend is %s where it was drained", got)
	}
	r.Up()
	spreads(t, "the order comes through", all, func(s *Server) bool { return s.backend("p", b[0].Addr).State == "drained" })
	if got := all[1].backend("p", b[1].Addr).State; got != "drained" {
		t.Errorf("after Redis lost the first order, the backend is %s", got)
	}
	for i, s := range all {
		if n := s.countLog(away); n != 1 {
			t.Errorf("instance %d says %d times that Redis is away", i, n)
		}
	}
}

func TestClusterRequired(t *testing.T) {
	r := StartRedis(t)
	b := NewBackends(t, "A", "B", "C")
	s := startClustered(t, r, 1, b)[0]
	err := s.Reload(strings.Replace(clustered, "lb_cluster {$REDIS} {", "lb_cluster redis://127.0.0.1:1 {\n\t\trequired", 1))
	if err == nil || !strings.Contains(err.Error(), "take 'required' away") {
		t.Errorf("a Redis that is required and absent: %v", err)
	}
	s.mustReload(strings.Replace(clustered, "lb_cluster {$REDIS} {", "lb_cluster redis://127.0.0.1:1 {", 1))
	if reply := s.Get(s.URL("PORT", "/")); reply.Status != http.StatusOK {
		t.Errorf("with an absent Redis: status %d", reply.Status)
	}
}

// Certificates are not the balancer's affair: instances with one storage share them, and the internal authority as well.
func TestClusterServesOneCertificate(t *testing.T) {
	b := NewBackend(t, "A")
	vars := map[string]string{"A": b.Addr, "STORAGE": t.TempDir()}
	serial := ""
	for i := range 2 {
		s := Start(t, `{
	skip_install_trust
	auto_https disable_redirects
	storage file_system {$STORAGE}
}
https://localhost:{$PORT} {
	tls internal
	lb_proxy {$A}
}
`, vars)
		roots := s.roots()
		var served *x509.Certificate
		eventually(t, "the certificate is there", func() bool {
			conn, err := tls.Dial("tcp", "localhost:"+s.vars["PORT"], &tls.Config{RootCAs: roots})
			if err != nil {
				return false
			}
			defer conn.Close()
			served = conn.ConnectionState().PeerCertificates[0]
			return true
		})
		if got := served.SerialNumber.String(); i > 0 && got != serial {
			t.Errorf("instance %d serves the certificate %s, and the first one %s", i, got, serial)
		}
		serial = served.SerialNumber.String()
	}
}
