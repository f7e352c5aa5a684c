package caddytest

import (
	"net"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/miekg/dns"
)

// zone is a DNS server on loopback for some names, which all have the same addresses. It is safe for concurrent
// use.
type zone struct {
	addr string

	mu      sync.Mutex
	names   []string
	ips     []string
	failing bool
	asked   int
}

func newZone(t testing.TB, name string, ips ...string) *zone {
	t.Helper()
	z := &zone{names: []string{name}, ips: ips}
	z.addr = serveDNS(t, z)
	return z
}

// serveDNS answers DNS queries until the test ends, and returns where.
func serveDNS(t testing.TB, handler dns.Handler) (addr string) {
	t.Helper()
	pc, err := net.ListenPacket("udp", "127.0.0.1:"+freePort(t))
	if err != nil {
		t.Fatal(err)
	}
	ready, done := make(chan struct{}), make(chan error, 1)
	srv := &dns.Server{PacketConn: pc, Handler: handler, NotifyStartedFunc: func() { close(ready) }}
	go func() { done <- srv.ActivateAndServe() }()
	<-ready
	t.Cleanup(func() {
		if err := srv.Shutdown(); err != nil {
			t.Error(err)
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return pc.LocalAddr().String()
}

// alias adds a name.
func (z *zone) alias(name string) {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.names = append(z.names, name)
}

// set changes the addresses.
func (z *zone) set(ips ...string) {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.ips = ips
}

// fail makes the server answer that it failed, or work again.
func (z *zone) fail(failing bool) {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.failing, z.asked = failing, 0
}

// asks is the number of questions since fail was called last.
func (z *zone) asks() int {
	z.mu.Lock()
	defer z.mu.Unlock()
	return z.asked
}

// ServeDNS implements dns.Handler.
func (z *zone) ServeDNS(w dns.ResponseWriter, q *dns.Msg) {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.asked++
	m := new(dns.Msg)
	m.SetReply(q)
	switch question := q.Question[0]; {
	case z.failing:
		m.Rcode = dns.RcodeServerFailure
	case !slices.Contains(z.names, strings.TrimSuffix(strings.ToLower(question.Name), ".")):
		m.Rcode = dns.RcodeNameError
	case question.Qtype == dns.TypeA:
		for _, ip := range z.ips {
			m.Answer = append(m.Answer, &dns.A{
				Hdr: dns.RR_Header{Name: question.Name, Rrtype: dns.TypeA, Class: dns.ClassINET},
				A:   net.ParseIP(ip),
			})
		}
	}
	_ = w.WriteMsg(m)
}

const named = `{
	lb_pool p {
		backend app.internal:{$PORT1}
		update_frequency 100ms
		resolvers {$DNS}
		health_check http /health {
			interval 100ms
			timeout 5s
		}
	}
}
http://127.0.0.1:{$PORT} {
	lb_proxy {
		pool p
	}
}
`

// members lists the addresses of a pool's backends, sorted.
func (s *Server) members(pool string) []string {
	s.t.Helper()
	var all []string
	for _, b := range s.pool(pool).Backends {
		all = append(all, b.Address)
	}
	slices.Sort(all)
	return all
}

func TestNamesAreResolvedAgain(t *testing.T) {
	port := freePort(t)
	a := newBackendAt(t, "A", "127.0.0.1:"+port)
	b := newBackendAt(t, "B", "127.0.0.2:"+port)
	c := newBackendAt(t, "C", "127.0.0.3:"+port)
	z := newZone(t, "app.internal", "127.0.0.1", "127.0.0.2")
	s := Start(t, named, map[string]string{"PORT1": port, "DNS": z.addr})

	if count := s.spread(s.URL("PORT", "/"), 20); count["A"] != 10 || count["B"] != 10 {
		t.Fatalf("shares are %v, want 10 each", count)
	}
	if name := s.pool("p").Backends[0].Name; name != "app.internal" {
		t.Errorf("the backend's name is %q, want app.internal", name)
	}

	z.set("127.0.0.2", "127.0.0.3")
	eventually(t, "the change is taken in", func() bool {
		return slices.Equal(s.members("p"), []string{b.Addr, c.Addr})
	})
	if count := s.spread(s.URL("PORT", "/"), 20); count["B"] != 10 || count["C"] != 10 {
		t.Errorf("shares are %v, want B 10 and C 10", count)
	}
	eventually(t, "the new backend is checked", func() bool { return c.Checks() > 1 })

	// The one that is gone is not checked any more; a check on its way may still arrive.
	seen, start := a.Checks(), c.Checks()
	eventually(t, "checks go on", func() bool { return c.Checks() > start+5 })
	if n := a.Checks(); n > seen+1 {
		t.Errorf("a backend that is gone was checked %d times after", n-seen)
	}
}

func TestFailedLookupKeepsTheLastGoodSet(t *testing.T) {
	port := freePort(t)
	a := newBackendAt(t, "A", "127.0.0.1:"+port)
	b := newBackendAt(t, "B", "127.0.0.2:"+port)
	z := newZone(t, "app.internal", "127.0.0.1", "127.0.0.2")
	s := Start(t, named, map[string]string{"PORT1": port, "DNS": z.addr})
	want := []string{a.Addr, b.Addr}

	for _, c := range []struct {
		name string
		fail func()
	}{
		{"server failure", func() { z.fail(true) }},
		{"no address", func() { z.fail(false); z.set() }},
	} {
		c.fail()
		eventually(t, "DNS is asked", func() bool { return z.asks() > 4 })
		if got := s.members("p"); !slices.Equal(got, want) {
			t.Errorf("%s: the backends are %v, want %v", c.name, got, want)
		}
		if count := s.spread(s.URL("PORT", "/"), 20); count["A"] != 10 || count["B"] != 10 {
			t.Errorf("%s: shares are %v, want 10 each", c.name, count)
		}
	}
	s.WaitLog(t, "that the name does not resolve", func(l LogLine) bool {
		return l.Text("level") == "warn" && l.Text("name") == "app.internal"
	})

	// A reload while DNS is away goes on with what was known.
	z.fail(true)
	s.mustReload(strings.Replace(named, "pool p\n", "pool p\n\t\theader_up X-Edit yes\n", 1))
	if got := s.members("p"); !slices.Equal(got, want) {
		t.Errorf("after a reload without DNS the backends are %v, want %v", got, want)
	}

	z.fail(false)
	z.set("127.0.0.1")
	eventually(t, "the next good answer is taken in", func() bool { return slices.Equal(s.members("p"), []string{a.Addr}) })
}

// Two names of one address are one backend, and stay so.
func TestNamesOfOneAddressSettle(t *testing.T) {
	port := freePort(t)
	a := newBackendAt(t, "A", "127.0.0.1:"+port)
	z := newZone(t, "app.internal", "127.0.0.1")
	z.alias("alias.internal")
	s := Start(t, strings.Replace(named, "backend ", "backend alias.internal:{$PORT1}\n\t\tbackend ", 1),
		map[string]string{"PORT1": port, "DNS": z.addr})
	z.fail(false)
	eventually(t, "DNS is asked", func() bool { return z.asks() > 20 })
	if got := s.members("p"); !slices.Equal(got, []string{a.Addr}) {
		t.Errorf("the backends are %v, want %s alone", got, a.Addr)
	}
	if n := s.countLog(func(l LogLine) bool { return strings.Contains(l.Text("msg"), "other addresses") }); n != 0 {
		t.Errorf("%d changes of the addresses are logged, though there was none", n)
	}
}
