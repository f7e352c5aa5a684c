package filter

import (
	"crypto/tls"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"

	_ "github.com/caddyserver/caddy/v2/modules/filestorage"
)

// pools stands for the lb app, with one pool.
type pools struct{}

func init() { caddy.RegisterModule(pools{}) }

func (pools) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "lb", New: func() caddy.Module { return new(pools) }}
}
func (pools) Start() error             { return nil }
func (pools) Stop() error              { return nil }
func (pools) HasPool(name string) bool { return name == "next" }

// configuration returns the context of a configuration whose lb app has the pool "next".
func configuration(t testing.TB) caddy.Context {
	t.Helper()
	ctx, err := caddy.ProvisionContext(&caddy.Config{
		StorageRaw: json.RawMessage(fmt.Sprintf(`{"module":"file_system","root":%q}`, t.TempDir())),
	})
	if err != nil {
		t.Fatal(err)
	}
	return ctx
}

// newCanary returns a canary to the pool "next" with draws of a seed, and its chain.
func newCanary(t testing.TB, f *Canary) *Chain {
	t.Helper()
	f.Pool = "next"
	ctx := configuration(t)
	if err := f.Provision(ctx); err != nil {
		t.Fatal(err)
	}
	if err := f.Validate(); err != nil {
		t.Fatal(err)
	}
	f.draw = rand.New(rand.NewPCG(1, 2)).Uint64
	c, err := NewChain([]Named{{"canary", f}}, 0)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// goesThere reports whether the canary takes a request.
func goesThere(t testing.TB, c *Chain, r *http.Request) (bool, *routed) {
	t.Helper()
	x := newRouted(t, r, "")
	if passed, err := request(c, x); err != nil || !passed {
		t.Fatalf("the request ended, %v", err)
	}
	if (x.pool == "next") != (x.Context.Pool == "next") || x.pool != "" && x.pool != "next" {
		t.Fatalf("sent to %q", x.pool)
	}
	return x.pool != "", x
}

func get() *http.Request { return httptest.NewRequest("GET", "http://example.com/", nil) }

func TestCanaryShares(t *testing.T) {
	const n = 5000
	for _, percent := range []float64{0, 0.5, 10, 90, 100} {
		for sticky, f := range map[string]*Canary{
			"no":     {},
			"cookie": {StickyCookie: &StickyCookie{Name: "place"}},
			"key":    {StickyKey: "{http.request.header.X-User}"},
		} {
			f.Percent = percent
			c := newCanary(t, f)
			took := 0
			for i := range n {
				r := get()
				r.Header.Set("X-User", fmt.Sprint("user", i))
				if there, _ := goesThere(t, c, r); there {
					took++
				}
			}
			// Five standard deviations of a binomial distribution.
			p := percent / 100
			if diff := math.Abs(float64(took) - n*p); diff > 5*math.Sqrt(n*p*(1-p)) {
				t.Errorf("%v%%, sticky by %s: %d of %d", percent, sticky, took, n)
			}
		}
	}
}

// Raising the share brings clients to the canary, and takes none away.
func TestCanaryIsMonotone(t *testing.T) {
	for sticky, f := range map[string]*Canary{
		"cookie": {StickyCookie: &StickyCookie{Name: "place"}},
		"key":    {StickyKey: "{http.request.header.X-User}"},
	} {
		c := newCanary(t, f)
		cookies := make(map[int]string)
		there := make(map[int]bool)
		for percent := 0.0; percent <= 100; percent += 5 {
			f.Percent = percent
			for i := range 300 {
				r := get()
				r.Header.Set("X-User", fmt.Sprint("user", i))
				if cookies[i] != "" {
					r.Header.Set("Cookie", cookies[i])
				}
				now, x := goesThere(t, c, r)
				if there[i] && !now {
					t.Fatalf("sticky by %s: a client came back at %v%%", sticky, percent)
				}
				there[i] = now
				if set := x.answer.Result().Cookies(); len(set) > 0 {
					if cookies[i] != "" {
						t.Fatal("a client was given a second cookie")
					}
					cookies[i] = set[0].Name + "=" + set[0].Value
				}
			}
		}
		for i := range 300 {
			if !there[i] {
				t.Errorf("sticky by %s: at 100%% a client is not there", sticky)
			}
		}
	}
}

func TestCanaryIsAsked(t *testing.T) {
	c := newCanary(t, &Canary{
		Headers: []Ask{{Name: "x-canary", Value: "yes"}, {Name: "X-Next"}},
		Cookies: []Ask{{Name: "canary"}, {Name: "group", Value: "beta"}},
	})
	for field, values := range map[string]map[string]bool{
		"X-Canary": {"yes": true, "no": false, "": false},
		"X-Next":   {"anything": true, "": true},
		"Cookie":   {"canary=x": true, "group=beta": true, "group=a; group=beta": true, "group=alpha": false, "other=beta": false},
	} {
		for value, want := range values {
			r := get()
			r.Header.Set(field, value)
			if got, _ := goesThere(t, c, r); got != want {
				t.Errorf("%s: %s is %v, want %v", field, value, got, want)
			}
		}
	}
	if got, _ := goesThere(t, c, get()); got {
		t.Error("a request that does not ask went there")
	}
}

func TestCanaryCookie(t *testing.T) {
	c := newCanary(t, &Canary{Percent: 50, StickyCookie: &StickyCookie{Name: "place", TTL: caddy.Duration(time.Hour)}})
	r := get()
	_, x := goesThere(t, c, r)
	set := x.answer.Result().Cookies()
	if len(set) != 1 {
		t.Fatalf("cookies %v", set)
	}
	got := set[0]
	if got.Name != "place" || got.Path != "/" || !got.HttpOnly || got.SameSite != http.SameSiteLaxMode || got.Secure || got.MaxAge != 3600 {
		t.Errorf("the cookie is %s", got)
	}
	r = get()
	r.TLS = new(tls.ConnectionState)
	if _, x := goesThere(t, c, r); !x.answer.Result().Cookies()[0].Secure {
		t.Error("the cookie of a TLS connection is not Secure")
	}
	for _, unknown := range []string{"", "x", strings.Repeat("0", 16), strings.ToUpper("abcdef0123456789"), got.Value + "0", "+bcdef0123456789"} {
		r := get()
		r.Header.Set("Cookie", "place="+unknown)
		if _, x := goesThere(t, c, r); len(x.answer.Result().Cookies()) != 1 {
			t.Errorf("the cookie %q is kept", unknown)
		}
	}
}

// Without a value to stick to a request is drawn; all of them together would be too many or too few.
func TestCanaryWithoutKey(t *testing.T) {
	c := newCanary(t, &Canary{Percent: 50, StickyKey: "{http.request.header.X-User}"})
	seen := make(map[bool]int)
	for range 100 {
		there, _ := goesThere(t, c, get())
		seen[there]++
	}
	if len(seen) != 2 {
		t.Errorf("draws: %v", seen)
	}
}

// Canaries of several pools take clients independently of each other.
func TestCanariesAreIndependent(t *testing.T) {
	a, b := &Canary{Pool: "a"}, &Canary{Pool: "b"}
	both := 0
	for i := range 10000 {
		key := fmt.Sprint(i)
		if a.hashed(key) < 0.5 && b.hashed(key) < 0.5 {
			both++
		}
	}
	if both < 2250 || both > 2750 {
		t.Errorf("%d of 10000 are in both halves", both)
	}
}

func TestCanaryNeedsThePool(t *testing.T) {
	ctx := configuration(t)
	for pool, want := range map[string]string{"": "has no pool", "other": `there is no pool "other"`, "next": ""} {
		err := (&Canary{Pool: pool}).Provision(ctx)
		if (err != nil) != (want != "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", pool, err)
		}
	}
}

func TestCanaryCaddyfile(t *testing.T) {
	var f Canary
	err := parse(&f, "canary next {\n percent 0.5%\n header X-A\n header X-B yes\n cookie c on\n sticky cookie place 30d\n}")
	if err != nil || f.Pool != "next" || f.Percent != 0.5 {
		t.Errorf("%+v, %v", f, err)
	}
	if !slices.Equal(f.Headers, []Ask{{Name: "X-A"}, {"X-B", "yes"}}) || !slices.Equal(f.Cookies, []Ask{{"c", "on"}}) {
		t.Errorf("%+v", f)
	}
	if f.StickyCookie == nil || *f.StickyCookie != (StickyCookie{"place", caddy.Duration(30 * 24 * time.Hour)}) {
		t.Errorf("%+v", f.StickyCookie)
	}
	f = Canary{}
	if err := parse(&f, "canary next {\n percent 0\n sticky {client_ip}\n}"); err != nil || f.StickyKey != "{client_ip}" {
		t.Errorf("%+v, %v", f, err)
	}
	for text, want := range map[string]string{
		"canary":                                          "canary lacks its value",
		"canary next":                                     "does not say which requests go to next",
		"canary next other":                               "unexpected argument 'other'",
		"canary next {\n percent\n}":                      "percent lacks its value",
		"canary next {\n percent 101\n}":                  "'101' is no share",
		"canary next {\n percent NaN\n}":                  "'NaN' is no share",
		"canary next {\n percent -1\n}":                   "'-1' is no share",
		"canary next {\n percent 0\n percent 1\n}":        "percent is set already",
		"canary next {\n header\n}":                       "got 0 arguments",
		"canary next {\n cookie a b c\n}":                 "got 3 arguments",
		"canary next {\n sticky\n}":                       "write sticky cookie <name>",
		"canary next {\n sticky cookie\n}":                "got 'cookie'",
		"canary next {\n sticky fixed\n}":                 "'fixed' is the same for all requests",
		"canary next {\n sticky cookie a;b\n}":            "'a;b' cannot be the name of a cookie",
		"canary next {\n sticky cookie a 1ms\n}":          "'1ms' is no time to keep a cookie",
		"canary next {\n sticky cookie a\n sticky {b}\n}": "sticky is set already",
		"canary next {\n share 1\n}":                      "there is no option 'share'",
	} {
		wantError(t, parse(new(Canary), text), text, want)
	}
	for _, f := range []*Canary{
		{Percent: -1},
		{Percent: math.NaN()},
		{Headers: []Ask{{}}},
		{Cookies: []Ask{{}}},
		{StickyCookie: &StickyCookie{}},
		{StickyCookie: &StickyCookie{Name: "a", TTL: -1}},
		{StickyCookie: &StickyCookie{Name: "a"}, StickyKey: "{b}"},
	} {
		if f.Validate() == nil {
			t.Errorf("%+v is valid", f)
		}
	}
}

func BenchmarkCanary(b *testing.B) {
	f := &Canary{Percent: 10, StickyKey: "{http.request.header.X-User}", Headers: []Ask{{Name: "X-Canary"}}}
	f.draw = rand.Uint64
	x := newRouted(b, get(), "")
	x.Request.Header.Set("X-User", "somebody")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := f.Request(x.Context); err != nil {
			b.Fatal(err)
		}
	}
}
