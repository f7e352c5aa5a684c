package selection

import (
	"context"
	"crypto/tls"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// serverRequest is a request with the context that Caddy's server gives it, and its replacer.
func serverRequest(target string, headers ...string) (*http.Request, *caddy.Replacer) {
	r := httptest.NewRequest(http.MethodGet, target, http.NoBody)
	r = r.WithContext(context.WithValue(r.Context(), caddyhttp.VarsCtxKey, map[string]any{
		caddyhttp.ClientIPVarKey: "203.0.113.9",
	}))
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	repl := caddyhttp.NewTestReplacer(r)
	return r, repl
}

// keyRequests are requests of all the shapes that placeholders read.
func keyRequests() map[string]*http.Request {
	requests := make(map[string]*http.Request)
	add := func(name, target string, headers ...string) *http.Request {
		requests[name], _ = serverRequest(target, headers...)
		return requests[name]
	}
	add("plain", "http://example.com/some/path")
	add("query", "http://example.com:8080/p?q=1&r=2&q=3", "X-User", "a", "X-User", "b")
	add("escaped", "http://example.com/a%2Fb%20c?q=%20x+y%2C&q=%zz&%71=again")
	add("odd query", "http://example.com/?&&q&;q=1&q=&=q&a=b")
	add("many parameters", "http://example.com/?"+strings.Repeat("q=1&", 150))
	add("cookie", "http://example.com/", "Cookie", `a=1; Q="x y"; q=2; bad="; c d=3`, "Cookie", "q=4; z")
	add("cookies unnamed", "http://example.com/", "Cookie", ` ; =1; q; "q"=2 ;  q = 5`)
	add("invalid cookie", "http://example.com/", "Cookie", "q=\x01; q=\"; q=fine")
	add("many cookies", "http://example.com/", "Cookie", strings.Repeat("a=1; ", 150)+"q=last")
	add("too many parameters", "http://example.com/?"+strings.Repeat("q=1&", 20_000))
	add("parameters to the limit", "http://example.com/?"+strings.Repeat("r&", 9_998)+"q=last")
	add("cookies to the limit", "http://example.com/", "Cookie", strings.Repeat("a;", 2_999)+"q=last")
	add("too many cookies", "http://example.com/", "Cookie", strings.Repeat("q=1; ", 5000))
	add("rewritten", "http://example.com/from?q=1").URL.Path = "/to"
	add("force query", "http://example.com/x?")
	add("star", "http://example.com/").URL.Path = "*"
	add("ipv6 host", "http://[::1]:8080/")
	add("bare ipv6 host", "http://example.com/").Host = "[::1]"
	add("socket", "http://example.com/").RemoteAddr = "/run/sock"
	add("early data", "https://example.com/").TLS = &tls.ConnectionState{}
	add("tls", "https://example.com/").TLS = &tls.ConnectionState{HandshakeComplete: true}
	return requests
}

// TestHashKeyIsWhatTheReplacerGives compares each fast path, and templates, with Caddy's own replacer.
func TestHashKeyIsWhatTheReplacerGives(t *testing.T) {
	keys := []string{
		"{http.request.uri.path}", "{http.request.uri}", "{http.request.host}", "{http.request.remote.host}",
		"{http.request.header.X-User}", "{http.request.header.x-user}", "{http.request.header.}",
		"{http.request.cookie.q}", "{http.request.cookie.Q}", "{http.request.cookie.none}", "{http.request.cookie.}",
		"{http.request.uri.query.q}", "{http.request.uri.query.none}", "{http.request.uri.query.}",
		"{http.request.method}", "{http.request.port}", "{no.such.placeholder}", "{http.vars.client_ip}",
		"{http.request.host}/{http.request.uri.path}", "user-{http.request.header.X-User}", `\{{http.request.host}\}`,
	}
	for name, r := range keyRequests() {
		repl := caddyhttp.NewTestReplacer(r)
		repl.Map(func(key string) (any, bool) {
			if v, ok := strings.CutPrefix(key, "http.vars."); ok {
				return caddyhttp.GetVar(r.Context(), v), true
			}
			return nil, false
		})
		for _, text := range keys {
			key, err := parseHashKey(text)
			if err != nil {
				t.Fatalf("%s: %v", text, err)
			}
			if got, want := key.value(r, repl), repl.ReplaceAll(text, ""); got != want {
				t.Errorf("%s of request %q: %q, want %q", text, name, got, want)
			}
		}
	}
}

func TestHashKeyDefault(t *testing.T) {
	r, _ := serverRequest("http://example.com/some/path?q=1")
	if got := provisioned(t, &Rendezvous{}).Key(r, nil); got != "/some/path" {
		t.Errorf("key %q, want the path", got)
	}
	short, _ := parseHashKey("{client_ip}")
	if got := short.value(r, nil); got != "203.0.113.9" {
		t.Errorf("client_ip %q", got)
	}
}

func TestHashKeyErrors(t *testing.T) {
	for text, want := range map[string]string{
		"{":                        "write {name}",
		"{http.request.host":       "write {name}",
		"a{b{c}":                   "close the first one",
		"{}":                       "has no name",
		"}":                        `write \}`,
		"x{http.request.host}}":    `write \}`,
		"constant":                 "is the same for every request",
		`\{http.request.host\}`:    "is the same for every request",
		`{http.request.host\}`:     "write {name}",
		"{a}{http.request.host":    "write {name}",
		"{http.request.host}/{}/x": "has no name",
	} {
		if _, err := parseHashKey(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error %v, want %q", text, err, want)
		}
	}
}

// TestHashKeysOfOnePlaceholderDoNotAllocate needs no replacer either.
func TestHashKeysOfOnePlaceholderDoNotAllocate(t *testing.T) {
	r, _ := serverRequest("/some/path?a=1&q=2", "X-User", "someone", "Cookie", "a=1; q=2")
	for _, text := range []string{
		"{http.request.uri.path}", "{http.request.uri}", "{http.request.host}", "{http.request.remote.host}",
		"{http.request.header.X-User}", "{http.request.cookie.q}", "{http.request.uri.query.q}", "{http.vars.client_ip}",
	} {
		key, err := parseHashKey(text)
		if err != nil {
			t.Fatal(err)
		}
		if key.value(r, nil) == "" {
			t.Errorf("%s is empty", text)
		}
		if n := testing.AllocsPerRun(100, func() { key.value(r, nil) }); n != 0 {
			t.Errorf("%s: %v allocations", text, n)
		}
	}
}

// FuzzHashKey gives the parser any text: it never panics, and what it takes means what it means to Caddy's
// replacer.
func FuzzHashKey(f *testing.F) {
	for _, text := range []string{"", "{", "{http.request.host}", `a\{b{http.request.uri}`, "{}{x}", "x}", `\`, "{a{b}"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		key, err := parseHashKey(text)
		if err != nil || text == "" || strings.Contains(text, "client_ip") {
			return
		}
		if strings.Contains(text, "{file.") || strings.Contains(text, "{env.") || strings.Contains(text, "{time.") ||
			strings.Contains(text, "{system.") || strings.Contains(text, "http.request.duration") {
			return // differ from one reading to the next, or from one machine to another
		}
		r, repl := serverRequest("http://example.com:8080/p?q=1", "X-User", "someone", "Cookie", "q=2")
		if got, want := key.value(r, repl), repl.ReplaceAll(text, ""); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	})
}
