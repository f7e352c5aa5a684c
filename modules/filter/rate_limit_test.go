package filter

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"
)

// timed is a rate_limit with a clock of the test's.
type timed struct {
	*RateLimit
	chain *Chain
	now   time.Duration
}

// newTimed returns the filter that text says in a Caddyfile, provisioned. The name of the test keeps it apart from others.
func newTimed(t testing.TB, text string) *timed {
	t.Helper()
	l := &timed{RateLimit: new(RateLimit), now: time.Hour}
	if err := parse(l.RateLimit, text); err != nil {
		t.Fatal(err)
	}
	if l.Name == "" {
		l.Name = t.Name()
	}
	l.clock = func() time.Duration { return l.now }
	l.chain = chainOf(t, l.RateLimit)
	return l
}

// ask sends a request of a client through the filter, and returns the status, 200 for one that goes on, and the answer's header.
func (l *timed) ask(t testing.TB, client string) (int, http.Header) {
	t.Helper()
	x := fromClient(httptest.NewRequest(http.MethodGet, "http://site/path", http.NoBody), client)
	if status := statusOf(t, l.chain.Request(x, proxied)); status != 0 {
		return status, x.Writer.Header()
	}
	return http.StatusOK, x.Writer.Header()
}

// proxied is what comes after the filters.
var proxied = NextFunc(func() error { return nil })

// fromClient returns the context of a request as the server hands it to lb_proxy.
func fromClient(r *http.Request, client string) *Context {
	ctx := context.WithValue(r.Context(), caddyhttp.VarsCtxKey, map[string]any{caddyhttp.ClientIPVarKey: client})
	r = r.WithContext(ctx)
	r = r.WithContext(context.WithValue(ctx, caddy.ReplacerCtxKey, caddyhttp.NewTestReplacer(r)))
	return NewContext(httptest.NewRecorder(), r, "pool", zap.NewNop())
}

func (l *timed) want(t testing.TB, client string, status int, fields string) {
	t.Helper()
	got, header := l.ask(t, client)
	told := strings.Join([]string{
		header.Get("RateLimit-Limit"), header.Get("RateLimit-Remaining"), header.Get("RateLimit-Reset"), header.Get("Retry-After"),
	}, " ")
	if got != status || told != fields {
		t.Errorf("at %s: %d with %q, want %d with %q", l.now-time.Hour, got, told, status, fields)
	}
}

func TestRateLimitTellsWhatIsLeft(t *testing.T) {
	l := newTimed(t, "rate_limit {client_ip} 1/s burst 2")
	l.want(t, "192.0.2.1", 200, "2 1 1 ")
	l.want(t, "192.0.2.1", 200, "2 0 2 ")
	l.want(t, "192.0.2.1", 429, "2 0 2 1")
	l.want(t, "192.0.2.2", 200, "2 1 1 ")
	l.now += 999 * time.Millisecond
	l.want(t, "192.0.2.1", 429, "2 0 2 1")
	l.now += time.Millisecond
	l.want(t, "192.0.2.1", 200, "2 0 2 ")
	l.now += time.Minute
	l.want(t, "192.0.2.1", 200, "2 1 1 ")
}

func TestRateLimitOfAWindow(t *testing.T) {
	l := newTimed(t, "rate_limit {client_ip} 2/10s {\n algorithm sliding_window\n}")
	l.want(t, "192.0.2.1", 200, "2 1 20 ")
	l.want(t, "192.0.2.1", 200, "2 0 20 ")
	l.want(t, "192.0.2.1", 429, "2 0 20 11")
	l.now += 11 * time.Second
	l.want(t, "192.0.2.1", 200, "2 0 19 ")
	l.want(t, "192.0.2.1", 429, "2 0 19 5")
}

func TestRateLimitWithASketch(t *testing.T) {
	l := newTimed(t, "rate_limit {client_ip} 1/h {\n sketch\n max_keys 1000\n}")
	l.want(t, "192.0.2.1", 200, "1 0 7200 ")
	l.want(t, "192.0.2.1", 429, "1 0 7200 3601")
	l.want(t, "192.0.2.2", 200, "1 0 7200 ")
}

func TestRateLimitTellsLargeNumbers(t *testing.T) {
	l := newTimed(t, "rate_limit {client_ip} 5000/d burst 4000")
	for range 2000 {
		l.ask(t, "192.0.2.1")
	}
	l.want(t, "192.0.2.1", 200, "4000 1999 34578 ")
}

// TestClientHasANetwork: the addresses of an IPv6 network of 64 bits are one client, and so are an IPv4 address and its IPv6 form.
func TestClientHasANetwork(t *testing.T) {
	for _, key := range []string{"{client_ip}", "{http.vars.client_ip}"} {
		l := newTimed(t, "rate_limit "+key+" 1/m")
		for _, client := range []struct {
			ip     string
			status int
		}{
			{"2001:db8:0:1::1", 200},
			{"2001:db8:0:1:ffff::1", 429},
			{"2001:db8:0:2::1", 200},
			{"fe80::1%eth0", 200},
			{"fe80::2%eth1", 429},
			{"192.0.2.1", 200},
			{"::ffff:192.0.2.1", 429},
			{"192.0.2.2", 200},
			{"", 200},
			{"", 200},
		} {
			if got, _ := l.ask(t, client.ip); got != client.status {
				t.Errorf("%s: client %s gets %d, want %d", key, client.ip, got, client.status)
			}
		}
		_ = l.Cleanup()
	}
	l := newTimed(t, "rate_limit a{client_ip} 1/m")
	for _, client := range []string{"2001:db8::1", "2001:db8::2"} {
		if got, _ := l.ask(t, client); got != 200 {
			t.Errorf("an address in text is taken for a network")
		}
	}
}

// TestEarlierLimitThatLeavesLessIsTold: of two limits the answer tells of the one that is nearer.
func TestEarlierLimitThatLeavesLessIsTold(t *testing.T) {
	for i, rates := range [][2]string{{"5/m", "100/m"}, {"100/m", "5/m"}} {
		a, b := newTimed(t, "rate_limit {client_ip} "+rates[0]), newTimed(t, "rate_limit {client_ip} "+rates[1])
		both := timed{RateLimit: a.RateLimit, chain: &Chain{request: append(a.chain.request, b.chain.request...)}}
		both.want(t, fmt.Sprint("192.0.2.", i), 200, "5 4 12 ")
	}
}

func TestDryRunRefusesNothing(t *testing.T) {
	l := newTimed(t, "rate_limit {client_ip} 1/m {\n dry_run\n}")
	logs := observe(l)
	for i := range 300 {
		l.now += 100 * time.Millisecond
		if status, header := l.ask(t, "192.0.2.1"); status != 200 || len(header) != 0 {
			t.Fatalf("request %d: %d with %v", i, status, header)
		}
	}
	if a, r, d := l.state.results.get(allowed), l.state.results.get(refused), l.state.results.get(dryRun); a != 1 || r != 0 || d != 299 {
		t.Errorf("%d allowed, %d refused, %d in dry run", a, r, d)
	}
	var told uint64
	for _, entry := range logs.All() {
		n, _ := entry.ContextMap()["requests"].(uint64)
		told += n
	}
	if logs.Len() != 3 || told < 200 {
		t.Errorf("%d lines in the log in 30 s, want 3, which tell of %d requests: %v", logs.Len(), told, logs.All())
	}
}

func TestReloadKeepsWhatWasUsed(t *testing.T) {
	old := newTimed(t, "rate_limit {client_ip} 3/m")
	old.want(t, "192.0.2.1", 200, "3 2 20 ")
	same := newTimed(t, "rate_limit {client_ip} 3/m burst 3 {\n dry_run\n}")
	same.DryRun = false
	if err := old.Cleanup(); err != nil {
		t.Fatal(err)
	}
	if err := old.Cleanup(); err != nil {
		t.Fatal(err)
	}
	same.want(t, "192.0.2.1", 200, "3 1 40 ")
	old.want(t, "192.0.2.1", 200, "3 0 60 ") // a request that is still under way there

	for _, other := range []string{
		"rate_limit {client_ip} 4/m burst 3", "rate_limit {client_ip} 3/m burst 4", "rate_limit {remote_host} 3/m", "rate_limit {client_ip} 3/h",
		"rate_limit {client_ip} 3/m {\n algorithm sliding_window\n}", "rate_limit {client_ip} 3/m {\n sketch\n}",
		"rate_limit {client_ip} 3/m {\n max_keys 10\n}", "rate_limit {client_ip} 3/m {\n name another\n}",
	} {
		if l := newTimed(t, other); l.state == same.state {
			t.Errorf("%s is taken to be the same limit", other)
		}
	}
	_ = same.Cleanup()
	again := newTimed(t, "rate_limit {client_ip} 3/m")
	again.want(t, "192.0.2.1", 200, "3 2 20 ")
}

func TestFailedProvisionLeavesNothing(t *testing.T) {
	f := &RateLimit{Key: "{client_ip}", Events: 1, Window: caddy.Duration(time.Second), Name: t.Name(), StorageRaw: []byte(`{"module":"nothing"}`)}
	if err := load(t, f); err == nil {
		t.Fatal("loaded")
	}
	if n, ok := rateLimits.References(f.definition); ok {
		t.Errorf("%d references are left", n)
	}
}

func TestRateLimitFromJSON(t *testing.T) {
	f := new(RateLimit)
	unmarshalJSON(t, f, `{"key":"{http.request.header.X-Key}","events":3,"window":"1m","algorithm":"sliding_window","max_keys":100,"name":"json"}`)
	c := chainOf(t, f)
	for i, key := range []string{"a", "a", "a", "a", "b", "", "", "", ""} {
		r := httptest.NewRequest(http.MethodGet, "http://site/", http.NoBody)
		r.Header.Set("X-Key", key)
		x := fromClient(r, "192.0.2.1")
		want := 0
		if i == 3 {
			want = 429
		}
		if got := statusOf(t, c.Request(x, proxied)); got != want {
			t.Errorf("request %d with key %q: %d, want %d", i, key, got, want)
		}
	}

	for text, want := range map[string]string{
		`{"events":1,"window":"1s"}`:                                                         "the key is missing",
		`{"key":"all","events":1,"window":"1s"}`:                                             "is the same for every request",
		`{"key":"{a","events":1,"window":"1s"}`:                                              "opened and not closed",
		`{"key":"{a}","window":"1s"}`:                                                        "it allows 0 requests",
		`{"key":"{a}","events":1}`:                                                           "its time is not above 0",
		`{"key":"{a}","events":1,"window":"1s","burst":-1}`:                                  "the burst is -1",
		`{"key":"{a}","events":1,"window":"1s","algorithm":"leaky"}`:                         "there is no algorithm 'leaky'",
		`{"key":"{a}","events":1,"window":"1s","algorithm":"token_bucket","sketch":true}`:    "a sketch counts windows",
		`{"key":"{a}","events":1,"window":"1s","algorithm":"sliding_window","burst":2}`:      "a sliding window has no burst",
		`{"key":"{a}","events":1,"window":"1s","max_keys":-1}`:                               "max_keys is -1",
		`{"key":"{a}","events":1,"window":"1s","local":true,"storage":{"module":"nothing"}}`: "local counts in this instance alone",
		`{"key":"{a}","events":1,"window":"1s","storage":{"module":"nothing"}}`:              "unknown module: lb.counters.nothing",
		`{"key":"{a}","events":1,"window":"1s","storage":{"module":"silent"}}`:               "does not count",
		`{"key":"{a}","events":100000000,"window":"1s"}`:                                     "too fast to be counted",
	} {
		f := new(RateLimit)
		unmarshalJSON(t, f, text)
		if err := load(t, f); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}

// TestManyClientsAtOnce: each of some clients gets exactly what its limit has, whoever asks at the same time.
func TestManyClientsAtOnce(t *testing.T) {
	l := newTimed(t, "rate_limit {client_ip} 50/h")
	var got [5]atomic.Int64
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 200 {
				client := (g + i) % len(got)
				if status, _ := l.ask(t, fmt.Sprintf("192.0.2.%d", client)); status == 200 {
					got[client].Add(1)
				}
			}
		})
	}
	wg.Wait()
	for client := range got {
		if n := got[client].Load(); n != 50 {
			t.Errorf("client %d got %d of 50", client, n)
		}
	}
	if a, r := l.state.results.get(allowed), l.state.results.get(refused); a != 250 || r != 1350 {
		t.Errorf("%d allowed and %d refused were counted", a, r)
	}
}
