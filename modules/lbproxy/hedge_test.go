package lbproxy

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddylb/caddy-lb/lb"
)

// hanging is a backend that does not answer before the client leaves, which it then tells.
func hanging(t *testing.T) (b *backend, left chan struct{}) {
	left = make(chan struct{}, 1000)
	b = startBackend(t, func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		<-r.Context().Done()
		left <- struct{}{}
	})
	return b, left
}

// hedged is the JSON of a handler whose policy is first and that hedges after 20 ms.
func hedged(options string, addresses ...string) string {
	return upstreams(addresses...) + balancing(`"try_interval":0`) + `,"hedge":{"delay":"20ms","max_percent":100}` + options
}

// settled waits until no backend of the pool serves a request.
func settled(t *testing.T) {
	t.Helper()
	for _, m := range runningPools()[0].Snapshot().Members {
		eventually(t, "backend without requests", func() bool { return m.Active() == 0 })
	}
}

func hedgeCounts() (won, lost uint64) {
	s := runningPools()[0].state
	return s.hedged[hedgeWon].Load(), s.hedged[hedgeLost].Load()
}

func TestHedgeTakesTheFasterAnswer(t *testing.T) {
	for name, transport := range map[string]string{"the engine": "", "a module": `,"transport":{"protocol":"http","compression":true}`} {
		t.Run(name, func(t *testing.T) {
			slow, left := hanging(t)
			fast := startBackend(t, text("fast"))
			p := startProxy(t, hedged(transport, slow.URL, fast.URL),
				serverOptions{before: `{"handler":"headers","response":{"deferred":true,"set":{"X-Hedged":["{http.reverse_proxy.hedged} {http.reverse_proxy.tries}"]}}}`})
			for range 5 {
				if r := p.get("/"); r.body != "fast" || r.header.Get("X-Hedged") != "won 2" {
					t.Errorf("got %d %q, hedged %q", r.status, r.body, r.header.Get("X-Hedged"))
				}
				select {
				case <-left:
				case <-time.After(patience):
					t.Fatal("the slow backend still works on it")
				}
			}
			if won, lost := hedgeCounts(); won != 5 || lost != 0 {
				t.Errorf("%d won, %d lost", won, lost)
			}
			settled(t)
			e := *runningPools()[0].entries.Load()
			for _, m := range runningPools()[0].Snapshot().Members {
				s := e[m.Backend].stats
				if n := s.failures.Load(); n != 0 {
					t.Errorf("%d failures of %s", n, m.Address())
				}
				if n := s.byCause[causeHedged].Load(); m.Position == 0 && n != 5 || m.Position == 1 && n != 0 {
					t.Errorf("%d tries of %s were given up", n, m.Address())
				}
			}
		})
	}
}

func TestHedgeLoses(t *testing.T) {
	slow, left := hanging(t)
	release := make(chan struct{})
	first := startBackend(t, func(w http.ResponseWriter, r *http.Request) {
		<-release
		_, _ = io.WriteString(w, "first")
	})
	p := startProxy(t, hedged("", first.URL, slow.URL))
	go func() {
		for slow.count() == 0 {
			time.Sleep(time.Millisecond)
		}
		close(release)
	}()
	if r := p.get("/"); r.body != "first" {
		t.Errorf("got %d %q", r.status, r.body)
	}
	<-left
	if won, lost := hedgeCounts(); won != 0 || lost != 1 {
		t.Errorf("%d won, %d lost", won, lost)
	}
	settled(t)
}

func TestHedgesOnlyWhatMayBeSentTwice(t *testing.T) {
	late := func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		if r.Method == http.MethodDelete {
			<-r.Context().Done()
		}
		time.Sleep(60 * time.Millisecond)
		_, _ = io.WriteString(w, "late")
	}
	first, second := startBackend(t, late), startBackend(t, text("second"))
	p := startProxy(t, hedged("", first.URL, second.URL))
	p.send("POST", "/", nil)
	p.send("PUT", "/", strings.NewReader("a body"))
	p.get("/", "Connection", "Upgrade", "Upgrade", "websocket")
	if n := second.count(); n != 0 {
		t.Errorf("%d requests were hedged", n)
	}
	if r := p.send("DELETE", "/", nil); r.body != "second" {
		t.Errorf("got %q", r.body)
	}
}

// While the second is under way the request waits for it, whatever becomes of the first.
func TestHedgeSavesAFailedRequest(t *testing.T) {
	var second atomic.Bool
	fails := startBackend(t, func(http.ResponseWriter, *http.Request) {
		for !second.Load() {
			time.Sleep(time.Millisecond)
		}
		panic(http.ErrAbortHandler)
	})
	for status, want := range map[int]int{200: 200, 404: 404, 500: 500} {
		second.Store(false)
		other := startBackend(t, func(w http.ResponseWriter, _ *http.Request) {
			second.Store(true)
			time.Sleep(50 * time.Millisecond)
			w.WriteHeader(status)
		})
		p := startProxy(t, hedged("", fails.URL, other.URL))
		if r := p.get("/"); r.status != want || other.count() != 1 {
			t.Errorf("got %d after %d tries of the second", r.status, other.count())
		}
		settled(t)
		for b, e := range *runningPools()[0].entries.Load() {
			if n := e.stats.byCause[causeBroken].Load(); n == 0 && strings.HasSuffix(fails.URL, b.Address().Port) {
				t.Error("the first's failure is not counted")
			}
		}
	}
}

func TestHedgeWithoutAnybodyElse(t *testing.T) {
	only := startBackend(t, func(w http.ResponseWriter, _ *http.Request) {
		time.Sleep(50 * time.Millisecond)
		_, _ = io.WriteString(w, "only")
	})
	p := startProxy(t, hedged("", only.URL, deadAddress(t)))
	if r := p.get("/"); r.body != "only" {
		t.Errorf("got %d %q", r.status, r.body)
	}
	settled(t)
}

func TestHedgeStaysWithinItsPercentage(t *testing.T) {
	slow := startBackend(t, func(w http.ResponseWriter, _ *http.Request) { time.Sleep(20 * time.Millisecond) })
	other := startBackend(t, text("other"))
	p := startProxy(t, upstreams(slow.URL, other.URL)+balancing(`"try_interval":0`)+`,"hedge":{"delay":"1ms","max_percent":10}`)
	const requests = 100
	for range requests {
		p.get("/")
	}
	if n := other.count(); n > requests/10 || n < requests/20 { // the machine may stand still for longer than the slow one takes
		t.Errorf("%d of %d requests were hedged, want up to a tenth, and not much less", n, requests)
	}
}

func TestHedgeByPercentile(t *testing.T) {
	var g hedging
	g.quantile = 0.95
	s := new(poolState)
	for i := range minHedgeLatencies - 1 {
		g.observe(s, time.Duration(i+1)*time.Millisecond)
	}
	if _, ok := g.after(s); ok {
		t.Error("it knows the percentile of too few")
	}
	s = new(poolState)
	for i := range 1000 {
		g.observe(s, time.Duration(i+1)*time.Millisecond)
	}
	if d, ok := g.after(s); !ok || d < 900*time.Millisecond || d > time.Second {
		t.Errorf("p95 of 1 to 1000 ms is %v", d)
	}
}

// Many hedged requests at once, whose backends answer, fail and hang as they like: each gets one whole answer, and every place is given back.
func TestHedgeUnderLoad(t *testing.T) {
	var n atomic.Int64
	moody := func(name string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			switch n.Add(1) % 7 {
			case 0:
				select {
				case <-r.Context().Done():
				case <-time.After(15 * time.Millisecond):
				}
			case 1:
				time.Sleep(time.Millisecond)
			case 2:
				w.WriteHeader(http.StatusServiceUnavailable)
			case 3:
				if n.Load()%2 == 0 {
					panic(http.ErrAbortHandler)
				}
			}
			_, _ = fmt.Fprint(w, name, " ", r.URL.Path, strings.Repeat(" end", 1000))
		}
	}
	a, b, c := startBackend(t, moody("a")), startBackend(t, moody("b")), startBackend(t, moody("c"))
	p := startProxy(t, upstreams(a.URL, b.URL, c.URL)+
		`,"load_balancing":{"retries":3,"retry_on":["5xx","reset"],"try_timeout":"10ms"},"hedge":{"delay":"1ms","max_percent":100}`)
	var wg sync.WaitGroup
	for client := range 8 {
		wg.Go(func() {
			for i := range 100 {
				path := fmt.Sprintf("/%d/%d", client, i)
				r := p.get(path)
				if r.status == 200 && !(strings.Contains(r.body, " "+path+" end") && len(r.body) == len("a ")+len(path)+4000) {
					t.Errorf("%s: got %.40q with %d bytes", path, r.body, len(r.body))
				}
			}
		})
	}
	wg.Wait()
	settled(t)
}

func TestHedgeIsRefused(t *testing.T) {
	probes.Store("hedge", new(probeBehaviour))
	for name, tc := range map[string][2]string{
		"filters of tries":     {`"filters":[{"filter":"probe","probe":"hedge"}],"hedge":{"delay":"1ms"}`, "filter probe"},
		"another transport":    {`"transport":{"protocol":"lb_proxy_canned"},"hedge":{"delay":"1ms"}`, "transport http"},
		"the PROXY protocol":   {`"transport":{"protocol":"http","proxy_protocol":"v2"},"hedge":{"delay":"1ms"}`, "proxy_protocol"},
		"names by placeholder": {`"transport":{"protocol":"http","tls":{"server_name":"{http.request.host}"}},"hedge":{"delay":"1ms"}`, "tls_server_name"},
		"sticky clients":       {`"load_balancing":{"selection_policy":{"policy":"cookie"}},"hedge":{"delay":"1ms"}`, "lb_policy cookie"},
		"neither":              {`"hedge":{}`, "delay or a percentile"},
		"both":                 {`"hedge":{"delay":"1ms","percentile":95}`, "delay or a percentile"},
		"an odd percentile":    {`"hedge":{"percentile":100}`, "percentile 100"},
		"an odd percentage":    {`"hedge":{"delay":"1ms","max_percent":101}`, "max_percent 101"},
		"a delay of the past":  {`"hedge":{"delay":-1}`, "delay must be above 0"},
	} {
		p := &proxy{t: t, address: freeAddress(t)}
		err := p.tryLoad(upstreams("127.0.0.1:1") + "," + tc[0])
		if err == nil || !strings.Contains(err.Error(), tc[1]) {
			t.Errorf("%s: %v", name, err)
		}
		_ = caddy.Stop()
	}
}

// What is optional is left out where it does not fit.
func TestOptionalHedgingIsLeftOut(t *testing.T) {
	p := startProxy(t, upstreams(startBackend(t, text("one")).URL)+
		`,"load_balancing":{"selection_policy":{"policy":"cookie"}},"hedge":{"delay":"1ms","optional":true}`)
	if r := p.get("/"); r.body != "one" {
		t.Errorf("got %d %q", r.status, r.body)
	}
}

func TestSupersededTriesTeachLatency(t *testing.T) {
	slow, _ := hanging(t)
	p := startProxy(t, hedged("", slow.URL, startBackend(t, text("fast")).URL))
	members := runningPools()[0].Snapshot().Members // in the order of their addresses
	m := members[slices.IndexFunc(members, func(m *lb.Member) bool { return m.Position == 0 })]
	m.Latency().Observe(time.Millisecond, lb.Monotonic())
	if r := p.get("/"); r.body != "fast" {
		t.Fatalf("got %d %q", r.status, r.body)
	}
	eventually(t, "slower average", func() bool {
		average, _ := m.Latency().Read(lb.Monotonic())
		return average >= 15*time.Millisecond
	})
}

// A backend whose requests are given up is most likely still at work on them, and must not look idle.
func TestSupersededTriesKeepTheirPlaces(t *testing.T) {
	slow, left := hanging(t)
	p := startProxy(t, hedged("", slow.URL, startBackend(t, text("fast")).URL))
	members := runningPools()[0].Snapshot().Members
	m := members[slices.IndexFunc(members, func(m *lb.Member) bool { return m.Position == 0 })]
	const usual = time.Second
	m.Latency().Observe(usual, lb.Monotonic())
	began := time.Now()
	if r := p.get("/"); r.body != "fast" {
		t.Fatalf("got %d %q", r.status, r.body)
	}
	<-left
	if n := m.Active(); n != 1 && time.Since(began) < usual {
		t.Errorf("it seems to serve %d requests", n)
	}
	settled(t)
}

// Backends turn out to speak HTTP/2 only when they are connected to; the request is then made anew while the other try may be, too.
func TestHedgeOverHTTP2(t *testing.T) {
	var n atomic.Int64
	var addresses []string
	for range 3 {
		s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if n.Add(1)%3 == 0 {
				select {
				case <-r.Context().Done():
				case <-time.After(20 * time.Millisecond):
				}
			}
			_, _ = io.WriteString(w, r.Proto+" "+r.Header.Get("X-Backend"))
		}))
		s.EnableHTTP2 = true
		s.StartTLS()
		t.Cleanup(s.Close)
		addresses = append(addresses, strings.TrimPrefix(s.URL, "https://"))
	}
	for range 5 {
		p := startProxy(t, upstreams(addresses...)+`,"transport":{"protocol":"http","tls":{"insecure_skip_verify":true}},"hedge":{"delay":"100us","max_percent":100},
			"headers":{"request":{"set":{"X-Backend":["{http.reverse_proxy.upstream.hostport}"]}}}`)
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				for range 10 {
					if r := p.get("/"); !strings.HasPrefix(r.body, "HTTP/2.0 127.0.0.1:") {
						t.Errorf("got %d %q", r.status, r.body)
					}
				}
			})
		}
		wg.Wait()
		settled(t)
	}
}
