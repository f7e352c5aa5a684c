package selection

import (
	"context"
	"crypto/tls"
	"net/http"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

func TestCookieKnowsHTTPS(t *testing.T) {
	b := cookieBed(t, &Cookie{MaxAge: caddy.Duration(90 * time.Minute)}, "10.0.0.1:81")
	value := "lb=" + stockCookie("", "10.0.0.1:81")
	secure := value + "; Path=/; Max-Age=5400; HttpOnly; Secure; SameSite=None"
	lax := value + "; Path=/; Max-Age=5400; HttpOnly; SameSite=Lax"
	for name, test := range map[string]struct {
		set  func(*http.Request, map[string]any)
		want string
	}{
		"http":  {func(*http.Request, map[string]any) {}, lax},
		"https": {func(r *http.Request, _ map[string]any) { r.TLS = new(tls.ConnectionState) }, secure},
		"trusted proxy": {func(r *http.Request, vars map[string]any) {
			vars[caddyhttp.TrustedProxyVarKey] = true
			r.Header["X-Forwarded-Proto"] = []string{"http", "https"}
		}, secure},
		"untrusted proxy": {func(r *http.Request, vars map[string]any) {
			vars[caddyhttp.TrustedProxyVarKey] = false
			r.Header.Set("X-Forwarded-Proto", "https")
		}, lax},
	} {
		r, vars := request(t, "http://example.com/"), make(map[string]any)
		r.HTTP = r.HTTP.WithContext(context.WithValue(r.HTTP.Context(), caddyhttp.VarsCtxKey, vars))
		test.set(r.HTTP, vars)
		b.choose(r)
		if got := r.Writer.Header().Get("Set-Cookie"); got != test.want {
			t.Errorf("%s: %q, want %q", name, got, test.want)
		}
	}
}

// TestCookieAttributes has what the options make of the cookie, over HTTP and over HTTPS. Whatever they are, it is one
// that browsers keep.
func TestCookieAttributes(t *testing.T) {
	on, off := true, false
	for name, c := range map[string]struct {
		cookie      Cookie
		http, https string
	}{
		"default":        {Cookie{}, "; Path=/; HttpOnly; SameSite=Lax", "; Path=/; HttpOnly; Secure; SameSite=None"},
		"secure on":      {Cookie{Secure: &on}, "; Path=/; HttpOnly; Secure; SameSite=None", "; Path=/; HttpOnly; Secure; SameSite=None"},
		"secure off":     {Cookie{Secure: &off}, "; Path=/; HttpOnly; SameSite=Lax", "; Path=/; HttpOnly; SameSite=Lax"},
		"lax":            {Cookie{SameSite: SameSiteLax}, "; Path=/; HttpOnly; SameSite=Lax", "; Path=/; HttpOnly; Secure; SameSite=Lax"},
		"strict":         {Cookie{SameSite: SameSiteStrict}, "; Path=/; HttpOnly; SameSite=Strict", "; Path=/; HttpOnly; Secure; SameSite=Strict"},
		"none":           {Cookie{SameSite: SameSiteNone}, "; Path=/; HttpOnly; SameSite=Lax", "; Path=/; HttpOnly; Secure; SameSite=None"},
		"none, secure":   {Cookie{SameSite: SameSiteNone, Secure: &on}, "; Path=/; HttpOnly; Secure; SameSite=None", "; Path=/; HttpOnly; Secure; SameSite=None"},
		"path, domain":   {Cookie{Path: "/app", Domain: "example.com"}, "; Path=/app; Domain=example.com; HttpOnly; SameSite=Lax", "; Path=/app; Domain=example.com; HttpOnly; Secure; SameSite=None"},
		"http_only on":   {Cookie{HTTPOnly: &on}, "; Path=/; HttpOnly; SameSite=Lax", "; Path=/; HttpOnly; Secure; SameSite=None"},
		"http_only off":  {Cookie{HTTPOnly: &off}, "; Path=/; SameSite=Lax", "; Path=/; Secure; SameSite=None"},
		"partitioned":    {Cookie{Partitioned: true}, "; Path=/; HttpOnly; SameSite=Lax", "; Path=/; HttpOnly; Secure; SameSite=None; Partitioned"},
		"of a host only": {Cookie{Name: "__Host-lb", Secure: &on}, "; Path=/; HttpOnly; Secure; SameSite=None", "; Path=/; HttpOnly; Secure; SameSite=None"},
	} {
		c.cookie.Format = FormatPlain
		b := cookieBed(t, &c.cookie, "10.0.0.1:81")
		for state, want := range map[*tls.ConnectionState]string{nil: c.http, {}: c.https} {
			r := request(t, "http://example.com/")
			r.HTTP.TLS = state
			b.choose(r)
			got := r.Writer.Header().Get("Set-Cookie")
			if want = c.cookie.Name + "=10.0.0.1:81" + want; got != want {
				t.Errorf("%s, HTTPS %v: %q, want %q", name, state != nil, got, want)
			}
			parsed, err := http.ParseSetCookie(got)
			if err != nil || parsed.Valid() != nil || parsed.SameSite == http.SameSiteNoneMode && !parsed.Secure {
				t.Errorf("%s: browsers drop %q", name, got)
			}
		}
	}
}

// TestCookieIsFoundBesideOthersOfItsName as a browser has them after the path was changed.
func TestCookieIsFoundBesideOthersOfItsName(t *testing.T) {
	b := cookieBed(t, &Cookie{Stickiness: Stickiness{Format: FormatPlain}}, "10.0.0.1:81", "10.0.0.1:82")
	r := withCookie(t, "lb", "old")
	r.HTTP.AddCookie(&http.Cookie{Name: "lb", Value: "10.0.0.1:82"})
	if got := addressOf(b.choose(r)); got != "10.0.0.1:82" {
		t.Errorf("picked %s, the second cookie names 10.0.0.1:82", got)
	}
}
