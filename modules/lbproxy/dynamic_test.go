package lbproxy

import (
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
	"github.com/miekg/dns"

	"github.com/caddylb/caddy-lb/lb"
)

// zone is a name server whose records a test changes.
type zone struct {
	address string

	mu      sync.Mutex
	records map[string][]string // question, as "name. TYPE", to records; a missing one does not exist
	slow    map[string]chan struct{}
	asked   map[string]int
}

func startZone(t *testing.T) *zone {
	t.Helper()
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	z := &zone{
		address: pc.LocalAddr().String(),
		records: make(map[string][]string), slow: make(map[string]chan struct{}), asked: make(map[string]int),
	}
	started, done := make(chan struct{}), make(chan struct{})
	server := &dns.Server{PacketConn: pc, Handler: dns.HandlerFunc(z.answer), NotifyStartedFunc: func() { close(started) }}
	go func() {
		defer close(done)
		_ = server.ActivateAndServe()
	}()
	<-started
	t.Cleanup(func() {
		_ = server.Shutdown()
		<-done
	})
	return z
}

func (z *zone) answer(w dns.ResponseWriter, q *dns.Msg) {
	m := new(dns.Msg).SetReply(q)
	question := q.Question[0].Name + " " + dns.TypeToString[q.Question[0].Qtype]
	z.mu.Lock()
	z.asked[question]++
	records, ok := z.records[question]
	slow := z.slow[question]
	z.mu.Unlock()
	if slow != nil {
		<-slow
	}
	if !ok {
		m.Rcode = dns.RcodeNameError
	}
	for _, r := range records {
		rr, err := dns.NewRR(q.Question[0].Name + " 1 IN " + r)
		if err == nil {
			m.Answer = append(m.Answer, rr)
		}
	}
	_ = w.WriteMsg(m)
}

func (z *zone) set(question string, records ...string) {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.records[question] = records
}

func (z *zone) drop(question string) {
	z.mu.Lock()
	defer z.mu.Unlock()
	delete(z.records, question)
}

// hold keeps the answers to a question until release is closed.
func (z *zone) hold(question string, release chan struct{}) {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.slow[question] = release
}

// dynamicA is a handler whose backends are the addresses of a name.
func (z *zone) dynamicA(name, port, refresh string) string {
	return fmt.Sprintf(`"dynamic_upstreams":{"source":"a","name":%q,"port":%q,"refresh":%q,"versions":{"ipv4":true},"resolver":{"addresses":["udp/%s"]}}`,
		name, port, refresh, z.address)
}

func portOf(t *testing.T, address string) string {
	t.Helper()
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	return port
}

func TestDynamicAddressesFollowDNS(t *testing.T) {
	b := startBackend(t, text("here"))
	z := startZone(t)
	z.set("app.test. A", "A 127.0.0.1")
	p := startProxy(t, z.dynamicA("app.test", portOf(t, b.Listener.Addr().String()), "20ms"))
	if r := p.get("/"); r.status != 200 || r.body != "here" {
		t.Fatalf("got %d %q", r.status, r.body)
	}
	z.set("app.test. A", "A 127.0.0.77") // nobody listens there
	eventually(t, "the other address to be used", func() bool { return p.get("/").status == 502 })
	z.set("app.test. A", "A 127.0.0.1")
	eventually(t, "the first address to be used again", func() bool { return p.get("/").status == 200 })

	// DNS away: the last good answer serves.
	z.drop("app.test. A")
	asked := func() int { z.mu.Lock(); defer z.mu.Unlock(); return z.asked["app.test. A"] }
	before := asked()
	eventually(t, "another lookup", func() bool { p.get("/"); return asked() > before })
	if r := p.get("/"); r.status != 200 {
		t.Errorf("status %d while DNS is away, want 200", r.status)
	}
}

func TestDynamicFallsBackOnStaticUpstreams(t *testing.T) {
	b := startBackend(t, text("static"))
	z := startZone(t)
	p := startProxy(t, upstreams(b.URL)+","+z.dynamicA("nobody.test", "80", "1m"))
	if r := p.get("/"); r.status != 200 || r.body != "static" {
		t.Errorf("got %d %q, want the static backend", r.status, r.body)
	}
	alone := startProxy(t, z.dynamicA("nobody.test", "80", "1m"))
	if r := alone.get("/"); r.status != 503 {
		t.Errorf("status %d without any backend, want 503", r.status)
	}
}

// One name that does not answer delays no other.
func TestDynamicNamesDoNotWaitForEachOther(t *testing.T) {
	b := startBackend(t, text("quick"))
	z := startZone(t)
	release := make(chan struct{})
	z.set("quick.test. A", "A 127.0.0.1")
	z.set("slow.test. A", "A 127.0.0.1")
	z.hold("slow.test. A", release)
	p := startProxy(t, z.dynamicA("{http.request.uri.query.name}", portOf(t, b.Listener.Addr().String()), "1m"))
	var slow sync.WaitGroup
	slow.Go(func() { p.get("/?name=slow.test") })
	eventually(t, "the slow name to be asked for", func() bool {
		z.mu.Lock()
		defer z.mu.Unlock()
		return z.asked["slow.test. A"] > 0
	})
	if r := p.get("/?name=quick.test"); r.status != 200 {
		t.Errorf("status %d for a name that is known, want 200", r.status)
	}
	close(release)
	slow.Wait()
}

func TestSRVWeightsAndPriorities(t *testing.T) {
	got := srvUpstreams([]*net.SRV{
		{Target: "c.test.", Port: 3, Priority: 20, Weight: 5},
		{Target: "b.test.", Port: 2, Priority: 10, Weight: 0},
		{Target: "a.test.", Port: 1, Priority: 10, Weight: 60},
	}, "tcp4")
	want := []Upstream{
		{Dial: "tcp4/a.test:1", Weight: new(60), Priority: 0},
		{Dial: "tcp4/b.test:2", Weight: new(1), Priority: 0},
		{Dial: "tcp4/c.test:3", Weight: new(5), Priority: 1},
	}
	for i, w := range want {
		if g := got[i]; g.Dial != w.Dial || *g.Weight != *w.Weight || g.Priority != w.Priority {
			t.Errorf("backend %d is %s weight %d priority %d, want %s weight %d priority %d",
				i, g.Dial, *g.Weight, g.Priority, w.Dial, *w.Weight, w.Priority)
		}
	}
}

func TestSRVBackendsShareByWeight(t *testing.T) {
	z := startZone(t)
	var names [3]string
	var records []string
	for i, share := range []string{"10 3", "10 1", "20 9"} {
		b := startBackend(t, text(fmt.Sprint(i)))
		names[i] = fmt.Sprintf("b%d.localhost.", i)
		records = append(records, fmt.Sprintf("SRV %s %s %s", share, portOf(t, b.Listener.Addr().String()), names[i]))
	}
	z.set("_http._tcp.app.test. SRV", records...)
	p := startProxy(t, fmt.Sprintf(`"dynamic_upstreams":{"source":"srv","service":"http","proto":"tcp","name":"app.test","dial_network":"tcp4","resolver":{"addresses":["udp/%s"]}},
		"transport":{"protocol":"http","resolver":{"addresses":["udp/%s"]}}`, z.address, z.address))
	for _, name := range names {
		z.set(name+" A", "A 127.0.0.1")
	}
	counts := make(map[string]int)
	for range 40 {
		counts[p.get("/").body]++
	}
	if counts["0"] != 30 || counts["1"] != 10 {
		t.Errorf("requests by backend %v, want 30 and 10, and none to the lower priority", counts)
	}
}

// answers is a source of upstreams as a plugin for reverse_proxy has it.
type answers struct {
	Hosts []string `json:"hosts"`
}

func init() { caddy.RegisterModule(answers{}) }

// CaddyModule returns the Caddy module information.
func (answers) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.reverse_proxy.upstreams.test_answers", New: func() caddy.Module { return new(answers) }}
}

// GetUpstreams implements reverseproxy.UpstreamSource.
func (a answers) GetUpstreams(r *http.Request) ([]*reverseproxy.Upstream, error) {
	if r.URL.Query().Has("none") {
		return nil, fmt.Errorf("no answer")
	}
	var out []*reverseproxy.Upstream
	for _, h := range a.Hosts {
		out = append(out, &reverseproxy.Upstream{Dial: h})
	}
	return out, nil
}

func TestForeignAndMultiSources(t *testing.T) {
	one, two := startBackend(t, text("one")), startBackend(t, text("two"))
	source := func(b *backend) string {
		return fmt.Sprintf(`{"source":"test_answers","hosts":[%q]}`, b.Listener.Addr())
	}
	p := startProxy(t, `"dynamic_upstreams":{"source":"multi","sources":[`+source(one)+`,`+source(two)+`]},
		"load_balancing":{"selection_policy":{"policy":"first"}}`)
	if r := p.get("/"); r.body != "one" {
		t.Errorf("got %q, want the first source's backend", r.body)
	}
	one.Close()
	if r := p.get("/"); r.body != "two" {
		t.Errorf("got %q with the first backend away, want the second source's", r.body)
	}
	if r := p.get("/?none"); r.status != 503 {
		t.Errorf("status %d when no source answers, want 503", r.status)
	}
}

// Dynamic backends are checked, and what is known about them is kept from request to request.
func TestDynamicBackendsAreChecked(t *testing.T) {
	sick := startBackend(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/health" {
			w.WriteHeader(500)
		}
	})
	well := startBackend(t, text("well"))
	p := startProxy(t, fmt.Sprintf(`"dynamic_upstreams":{"source":"test_answers","hosts":[%q,%q]},
		"health_checks":{"active":{"uri":"/health","interval":"20ms"}}`, sick.Listener.Addr(), well.Listener.Addr()))
	p.get("/")
	eventually(t, "the sick backend to be taken out", func() bool {
		for range 4 {
			if p.get("/").body != "well" {
				return false
			}
		}
		return true
	})
}

func TestDynamicPoolsAreGivenBack(t *testing.T) {
	b := startBackend(t, text("x"))
	z := startZone(t)
	z.set("app.test. A", "A 127.0.0.1")
	p := startProxy(t, z.dynamicA("app.test", portOf(t, b.Listener.Addr().String()), "1m"))
	p.get("/")
	id := "http://" + b.Listener.Addr().String()
	held := func() bool { n, ok := backends.References(backendKey{id: id}); return ok && n > 0 }
	if !held() {
		t.Fatal("the backend is not known")
	}
	p.load(strings.TrimSpace(upstreams("http://127.0.0.1:1")))
	eventually(t, "the backend to be forgotten", func() bool { return !held() })
}

// A source that is asked for many names keeps the pools of those asked for last.
func TestIdleDynamicGroupsAreEvicted(t *testing.T) {
	d := new(dynamicPools)
	add := func(key string, idle time.Duration) {
		g := new(dynamicGroup)
		g.views.Store(new([]*dynamicView))
		g.used.Store(int64(lb.Monotonic() - idle))
		d.groups.Store(key, g)
		d.count++
	}
	add("old", 2*dynamicPoolIdle)
	add("new", 0)
	d.evict()
	if _, ok := d.groups.Load("old"); ok || d.count != 1 {
		t.Errorf("an idle group is still there; %d groups", d.count)
	}
	for i := range maxDynamicGroups + 1 {
		add(fmt.Sprint("more ", i), -time.Duration(i)*time.Millisecond)
	}
	d.evict()
	if d.count >= maxDynamicGroups {
		t.Errorf("%d groups, want room for another one below %d", d.count, maxDynamicGroups)
	}
	if _, ok := d.groups.Load("new"); ok {
		t.Error("the group that was not used for longest is still there")
	}
}
