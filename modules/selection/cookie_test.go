package selection

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/caddylb/caddy-lb/lb"
)

// stockCookie is the value that reverse_proxy gives a backend in its cookie.
func stockCookie(secret, dial string) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(dial))
	return hex.EncodeToString(mac.Sum(nil))
}

func cookieBed(t *testing.T, c *Cookie, servers ...string) *bed {
	t.Helper()
	if c.FallbackRaw == nil {
		c.FallbackRaw = json.RawMessage(`{"policy":"first"}`)
	}
	return newBed(t, provisioned(t, c), servers...)
}

// withCookie is a request that comes back with the cookie of a backend.
func withCookie(t *testing.T, name, value string) *Request {
	r := request(t, "http://example.com/")
	r.HTTP.AddCookie(&http.Cookie{Name: name, Value: value})
	return r
}

func TestCookieKeepsTheClient(t *testing.T) {
	b := cookieBed(t, &Cookie{Name: "srv", Stickiness: Stickiness{Secret: "s3cret"}}, "10.0.0.1:81", "10.0.0.1:82", "[::1]:83", "unix//run/app.sock")
	first := request(t, "http://example.com/")
	if got := addressOf(b.choose(first)); got != "10.0.0.1:81" {
		t.Fatalf("picked %s by fallback", got)
	}
	want := "srv=" + stockCookie("s3cret", "10.0.0.1:81") + "; Path=/; HttpOnly; SameSite=Lax"
	if got := first.Writer.Header().Values("Set-Cookie"); len(got) != 1 || got[0] != want {
		t.Errorf("Set-Cookie %q, want %q", got, want)
	}
	for _, dial := range []string{"10.0.0.1:81", "10.0.0.1:82", "[::1]:83", "unix//run/app.sock"} {
		r := withCookie(t, "srv", stockCookie("s3cret", dial))
		if got := addressOf(b.choose(r)); got != dial {
			t.Errorf("picked %s, the cookie names %s", got, dial)
		}
		if got := r.Writer.Header().Values("Set-Cookie"); len(got) != 0 {
			t.Errorf("Set-Cookie %q for a client that has its cookie", got)
		}
	}
	forged := withCookie(t, "srv", stockCookie("other", "10.0.0.1:82"))
	if got := addressOf(b.choose(forged)); got != "10.0.0.1:81" {
		t.Errorf("picked %s for a cookie of another secret", got)
	}
}

func TestCookieKnowsBackendsThatComeLater(t *testing.T) {
	b := cookieBed(t, &Cookie{}, "10.0.0.1:81", "10.0.0.1:82")
	b.update("10.0.0.1:81", "10.0.0.1:83", "10.0.0.1:82")
	for _, dial := range []string{"10.0.0.1:81", "10.0.0.1:82", "10.0.0.1:83"} {
		if got := addressOf(b.choose(withCookie(t, "lb", stockCookie("", dial)))); got != dial {
			t.Errorf("picked %s, the cookie names %s", got, dial)
		}
	}
}

// TestCookieIsSetOnceOverRetries tries three backends: one cookie is left, for the last, beside those of others.
func TestCookieIsSetOnceOverRetries(t *testing.T) {
	b := cookieBed(t, &Cookie{}, "10.0.0.1:81", "10.0.0.1:82", "10.0.0.1:83")
	r := request(t, "http://example.com/")
	r.Writer.Header().Add("Set-Cookie", "lbx=1")
	var last *lb.Member
	for range 3 {
		last = b.choose(r)
		r.Tried.Add(last.Backend)
	}
	want := "lb=" + stockCookie("", last.Address().String()) + ";"
	if got := r.Writer.Header().Values("Set-Cookie"); len(got) != 2 || got[0] != "lbx=1" || !strings.HasPrefix(got[1], want) {
		t.Errorf("Set-Cookie %q, want lbx=1 and %s", got, want)
	}
	if m := b.choose(r); m != nil {
		t.Errorf("picked %s with all tried", m.Address())
	}
}

// TestCookieIsTakenBackWhenTheOwnerServesAfterAll has the owner full at the first try and free at the second.
func TestCookieIsTakenBackWhenTheOwnerServesAfterAll(t *testing.T) {
	pool := lb.NewPool("test", provisioned(t, &Cookie{Stickiness: Stickiness{FallbackRaw: json.RawMessage(`{"policy":"first"}`)}}))
	other, owner := member(t, "10.0.0.1:81"), member(t, "10.0.0.1:82")
	owner.MaxRequests = 1
	if err := pool.Update([]*lb.Member{other, owner}); err != nil {
		t.Fatal(err)
	}
	r := withCookie(t, "lb", stockCookie("", "10.0.0.1:82"))
	owner.Acquire()
	m := Choose(pool.Snapshot(), r)
	if m.Backend != other.Backend || r.Writer.Header().Get("Set-Cookie") == "" {
		t.Fatalf("picked %s, Set-Cookie %q", m.Address(), r.Writer.Header())
	}
	r.Tried.Add(m.Backend)
	owner.Release()
	if m = Choose(pool.Snapshot(), r); m.Backend != owner.Backend {
		t.Fatalf("picked %s, want the owner", m.Address())
	}
	if got := r.Writer.Header()["Set-Cookie"]; got != nil {
		t.Errorf("Set-Cookie %q for a client that stayed", got)
	}
}

// TestCookieIsTakenBackWhenTheOwnerIsTriedAgain has the owner fail, then the other backend, and all be tried anew.
func TestCookieIsTakenBackWhenTheOwnerIsTriedAgain(t *testing.T) {
	b := cookieBed(t, &Cookie{}, "10.0.0.1:81", "10.0.0.1:82")
	r := withCookie(t, "lb", stockCookie("", "10.0.0.1:82"))
	r.Writer.Header().Add("Set-Cookie", "lb=of another handler")
	for _, want := range []string{"10.0.0.1:82", "10.0.0.1:81"} {
		m := b.choose(r)
		if addressOf(m) != want {
			t.Fatalf("picked %s, want %s", addressOf(m), want)
		}
		if got := len(r.Writer.Header()["Set-Cookie"]); got != 1 {
			t.Errorf("%d cookies with %s", got, want)
		}
		r.Tried.Add(m.Backend)
	}
	r.Tried.Reset()
	if m := b.choose(r); addressOf(m) != "10.0.0.1:82" {
		t.Fatalf("picked %s, want the owner", addressOf(m))
	}
	if got := r.Writer.Header()["Set-Cookie"]; got != nil {
		t.Errorf("Set-Cookie %q for a client that stayed", got)
	}
}

// TestCookieClientsFinishOnADrainedBackend covers both ways to drain, and a backend that is down.
func TestCookieClientsFinishOnADrainedBackend(t *testing.T) {
	b := cookieBed(t, &Cookie{}, "10.0.0.1:81", "10.0.0.1:82 0", "10.0.0.1:83")
	b.find("10.0.0.1:83").SetDrained(true, time.Unix(0, 0))
	b.set(true)
	for _, drained := range []string{"10.0.0.1:82", "10.0.0.1:83"} {
		if got := addressOf(b.choose(withCookie(t, "lb", stockCookie("", drained)))); got != drained {
			t.Errorf("picked %s, want the drained %s", got, drained)
		}
	}
	for range 10 {
		if got := addressOf(b.choose(request(t, "http://example.com/"))); got != "10.0.0.1:81" {
			t.Errorf("picked %s for a new client", got)
		}
	}
	b.set(false, "10.0.0.1:83")
	r := withCookie(t, "lb", stockCookie("", "10.0.0.1:83"))
	if got := addressOf(b.choose(r)); got != "10.0.0.1:81" {
		t.Errorf("picked %s while the owner is down", got)
	}
	if got := r.Writer.Header().Get("Set-Cookie"); !strings.Contains(got, stockCookie("", "10.0.0.1:81")) {
		t.Errorf("Set-Cookie %q, want the new backend's", got)
	}
}

// TestPickersOfRequestsPickWithoutOne as well, for callers that have none: by the fallback, or by the key.
func TestPickersOfRequestsPickWithoutOne(t *testing.T) {
	if got := cookieBed(t, &Cookie{}, "10.0.0.1:82", "10.0.0.1:81").pick(""); got != "10.0.0.1:82" {
		t.Errorf("cookie: %q, want the fallback's", got)
	}
	header := newBed(t, provisioned(t, &Header{Field: "X-User"}), servers(9)...)
	plain := newBed(t, provisioned(t, &Rendezvous{}), servers(9)...)
	if got, want := header.pick("adam"), plain.pick("adam"); got != want {
		t.Errorf("header: %s, want %s", got, want)
	}
}

// TestFallbackCookieWorks is where stock panics: header and query hand on to cookie, which writes to the
// response.
func TestFallbackCookieWorks(t *testing.T) {
	raw := json.RawMessage(`{"policy":"cookie","name":"sticky"}`)
	for name, policy := range map[string]lb.Policy{
		"header": provisioned(t, &Header{Field: "X-User", FallbackRaw: raw}),
		"query":  provisioned(t, &Query{QueryKey: "user", FallbackRaw: raw}),
	} {
		b := newBed(t, policy, servers(5)...)
		r := request(t, "http://example.com/")
		m := b.choose(r)
		if got := r.Writer.Header().Get("Set-Cookie"); !strings.HasPrefix(got, "sticky="+stockCookie("", m.Address().String())) {
			t.Errorf("%s: Set-Cookie %q for %s", name, got, m.Address())
		}
		again := withCookie(t, "sticky", stockCookie("", m.Address().String()))
		if got := b.choose(again); got.Backend != m.Backend {
			t.Errorf("%s: picked %s, the cookie names %s", name, got.Address(), m.Address())
		}
	}
}
