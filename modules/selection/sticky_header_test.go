package selection

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/caddylb/caddy-lb/lb"
)

func headerBed(t *testing.T, format string, servers ...string) *bed {
	t.Helper()
	s := Stickiness{Format: format, FallbackRaw: json.RawMessage(`{"policy":"first"}`)}
	if format == FormatSigned {
		s.Secret = testSecret
	}
	return newBed(t, provisioned(t, &StickyHeader{Field: "x-backend", Stickiness: s}), servers...)
}

// withField is a request that comes back with what names a backend.
func withField(t *testing.T, value string) *Request {
	r := request(t, "http://example.com/")
	r.HTTP.Header.Set("X-Backend", value)
	return r
}

func TestStickyHeaderKeepsTheClient(t *testing.T) {
	for _, format := range []string{FormatHMAC, FormatPlain, FormatSigned} {
		b := headerBed(t, format, "10.0.0.1:81", "10.0.0.1:82", "[::1]:83", "unix//run/app.sock")
		r := request(t, "http://example.com/")
		if got := addressOf(b.choose(r)); got != "10.0.0.1:81" {
			t.Fatalf("%s: picked %s by fallback", format, got)
		}
		key := b.pool.Policy().(*StickyHeader).key
		if got := r.Writer.Header().Values("X-Backend"); len(got) != 1 || got[0] != stickyName(format, key, "10.0.0.1:81") {
			t.Errorf("%s: the response names %q", format, got)
		}
		for _, m := range b.pool.Snapshot().Members {
			address := m.Address().String()
			r := withField(t, stickyName(format, key, address))
			if got := addressOf(b.choose(r)); got != address {
				t.Errorf("%s: picked %s, the request names %s", format, got, address)
			}
			if got, ok := r.Writer.Header()["X-Backend"]; ok {
				t.Errorf("%s: the response names %q to a client that knows", format, got)
			}
		}
		r = withField(t, "10.0.0.1:82.AAAAAAAAAAAAAAAAAAAAAA")
		if got := addressOf(b.choose(r)); got != "10.0.0.1:81" || r.Writer.Header().Get("X-Backend") == "" {
			t.Errorf("%s: picked %s for a forged name, the response names %q", format, got, r.Writer.Header())
		}
	}
}

// TestStickyHeaderNamesTheLastOfSeveralTries tries three backends.
func TestStickyHeaderNamesTheLastOfSeveralTries(t *testing.T) {
	b := headerBed(t, FormatPlain, "10.0.0.1:81", "10.0.0.1:82", "10.0.0.1:83")
	r := withField(t, "10.0.0.1:82")
	for _, want := range []string{"10.0.0.1:82", "10.0.0.1:81", "10.0.0.1:83"} {
		m := b.choose(r)
		r.Tried.Add(m.Backend)
		if got := addressOf(m); got != want {
			t.Errorf("picked %s, want %s", got, want)
		}
	}
	if got := r.Writer.Header().Values("X-Backend"); len(got) != 1 || got[0] != "10.0.0.1:83" {
		t.Errorf("the response names %q, want the last", got)
	}
}

// TestStickyClientsAndTheirBackendsStanding covers both carriers: clients stay on a drained backend, and leave one
// that is down, full, or on trial and has its request.
func TestStickyClientsAndTheirBackendsStanding(t *testing.T) {
	first := json.RawMessage(`{"policy":"first"}`)
	plain := Stickiness{Format: FormatPlain, FallbackRaw: first}
	for name, policy := range map[string]lb.Policy{
		"cookie":        provisioned(t, &Cookie{Name: "lb", Stickiness: plain}),
		"sticky_header": provisioned(t, &StickyHeader{Field: "X-Backend", Stickiness: plain}),
		"nested":        provisioned(t, &Header{Field: "X-User", FallbackRaw: json.RawMessage(`{"policy":"cookie","format":"plain"}`)}),
	} {
		for standing, c := range map[string]struct {
			set   func(m *lb.Member)
			stays bool
		}{
			"serving":        {func(*lb.Member) {}, true},
			"drained":        {func(m *lb.Member) { m.SetDrained(true, time.Time{}) }, true},
			"of weight 0":    {func(m *lb.Member) { m.Weight = 0 }, true},
			"a higher tier":  {func(m *lb.Member) { m.Priority = 1 }, true},
			"a backup":       {func(m *lb.Member) { m.Backup = true }, true},
			"full":           {func(m *lb.Member) { m.MaxRequests = 1; m.Acquire() }, false},
			"on trial":       {func(m *lb.Member) { m.Ejection = new(trial) }, true},
			"on trial, busy": {func(m *lb.Member) { m.Ejection = new(trial); m.Ejection.Trial().Take() }, false},
			"down": {func(m *lb.Member) {
				h := new(health)
				h.down.Store(true)
				m.Conditions = []lb.Condition{h}
			}, false},
		} {
			pool := lb.NewPoolWith("test", policy, lb.Options{MaxEjectionPercent: 100})
			other, own := member(t, "10.0.0.1:81"), member(t, "10.0.0.1:82")
			c.set(own)
			if err := pool.Update([]*lb.Member{other, own}); err != nil {
				t.Fatal(err)
			}
			r := withField(t, "10.0.0.1:82")
			r.HTTP.Header.Set("Cookie", "lb=10.0.0.1:82")
			m := Choose(pool.Snapshot(), r)
			if stays := m.Backend == own.Backend; stays != c.stays {
				t.Errorf("%s: the client of a backend that is %s stays: %v", name, standing, stays)
			}
			if told := len(r.Writer.Header()) > 0; told == c.stays {
				t.Errorf("%s: the client of a backend that is %s is told %v", name, standing, r.Writer.Header())
			}
		}
	}
}

// TestStickyFallbacksAreTakenBackToo has a client of a full backend, which the first try names another one to, and that
// backend free in the second.
func TestStickyFallbacksAreTakenBackToo(t *testing.T) {
	for name, policy := range map[string]lb.Policy{
		"of a cookie": provisioned(t, &Cookie{Stickiness: Stickiness{Format: FormatPlain, FallbackRaw: json.RawMessage(
			`{"policy":"sticky_header","field":"X-Backend","format":"plain","fallback":{"policy":"first"}}`,
		)}}),
		"of a header": provisioned(t, &Header{Field: "X-User", FallbackRaw: json.RawMessage(
			`{"policy":"cookie","format":"plain","fallback":{"policy":"first"}}`,
		)}),
	} {
		for priority := range 2 {
			pool := lb.NewPool("test", policy)
			other, own := member(t, "10.0.0.1:81"), member(t, "10.0.0.1:82")
			own.MaxRequests, own.Priority = 1, priority
			own.Acquire()
			if err := pool.Update([]*lb.Member{other, own}); err != nil {
				t.Fatal(err)
			}
			r := withCookie(t, "lb", "10.0.0.1:82")
			r.Tried.Add(Choose(pool.Snapshot(), r).Backend)
			if r.Writer.Header().Get("Set-Cookie") == "" {
				t.Fatalf("%s: the client is not told another backend", name)
			}
			own.Release()
			if m := Choose(pool.Snapshot(), r); m.Backend != own.Backend || len(r.Writer.Header()) > 0 {
				t.Errorf("%s, priority %d: picked %s, the response names %v", name, priority, m.Address(), r.Writer.Header())
			}
		}
	}
}
