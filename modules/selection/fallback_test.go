package selection

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddylb/caddy-lb/lb"
)

// TestRequestHashPoliciesHashWhatTheySay sends requests that differ in everything but one thing: they go to
// one backend exactly when the policy hashes that.
func TestRequestHashPoliciesHashWhatTheySay(t *testing.T) {
	for name, test := range map[string]struct {
		policy lb.Policy
		want   string
		set    func(r *Request)
	}{
		"ip_hash":              {&IPHash{}, "192.0.2.7", func(r *Request) { r.HTTP.RemoteAddr = "192.0.2.7:4711" }},
		"ip_hash without port": {&IPHash{}, "@", func(r *Request) { r.HTTP.RemoteAddr = "@" }},
		"client_ip_hash": {&ClientIPHash{}, "203.0.113.9", func(r *Request) {
			r.HTTP, _ = serverRequest("http://example.com/")
			caddyhttp.SetVar(r.HTTP.Context(), caddyhttp.ClientIPVarKey, "203.0.113.9")
		}},
		"client_ip_hash outside of a server": {&ClientIPHash{}, "192.0.2.7", func(r *Request) { r.HTTP.RemoteAddr = "192.0.2.7:4711" }},
		"uri_hash":                           {&URIHash{}, "http://example.com/p?q=1", func(*Request) {}},
		"query":                              {provisioned(t, &Query{QueryKey: "q"}), "1", func(*Request) {}},
		"header":                             {provisioned(t, &Header{Field: "x-user"}), "a", func(r *Request) { r.HTTP.Header["X-User"] = []string{"a", "b"} }},
		"header Host":                        {provisioned(t, &Header{Field: "host"}), "example.com", func(*Request) {}},
	} {
		r := request(t, "http://example.com/p?q=1")
		test.set(r)
		if got := test.policy.(Keyer).Key(r.HTTP, caddy.NewReplacer()); got != test.want {
			t.Errorf("%s: key %q, want %q", name, got, test.want)
		}
		b := newBed(t, test.policy, servers(20)...)
		owner := b.choose(r)
		for range 20 {
			if got := b.choose(r); got != owner {
				t.Errorf("%s: picked %s and %s for one key", name, owner.Address(), got.Address())
			}
		}
	}
}

func TestKeyedPoliciesFallBackWithoutAValue(t *testing.T) {
	raw := json.RawMessage(`{"policy":"first"}`)
	for name, policy := range map[string]lb.Policy{
		"header": provisioned(t, &Header{Field: "X-User", FallbackRaw: raw}),
		"query":  provisioned(t, &Query{QueryKey: "user", FallbackRaw: raw}),
	} {
		b := newBed(t, policy, "10.0.0.1:83", "10.0.0.1:82", "10.0.0.1:81")
		for range 10 {
			if got := addressOf(b.choose(request(t, "http://example.com/"))); got != "10.0.0.1:83" {
				t.Errorf("%s: picked %s, want the fallback's", name, got)
			}
		}
		seen := make(map[string]bool)
		for _, user := range strings.Split("abcdefghijklmnopqrstuvwxyz", "") {
			r := request(t, "http://example.com/?user="+user)
			r.HTTP.Header.Set("X-User", user)
			seen[addressOf(b.choose(r))] = true
		}
		if len(seen) != 3 {
			t.Errorf("%s: 26 values reach only %v", name, sorted(seen))
		}
	}
}

// TestFallbackHashesItsOwnKey chains header, query and consistent, each with a key of its own.
func TestFallbackHashesItsOwnKey(t *testing.T) {
	policy := provisioned(t, &Header{Field: "X-User", FallbackRaw: json.RawMessage(
		`{"policy":"query","key":"user","fallback":{"policy":"consistent","hash_key":"{http.request.uri.path}"}}`,
	)})
	plain := newBed(t, provisioned(t, &Consistent{}), servers(30)...)
	hrw := newBed(t, provisioned(t, &Rendezvous{}), servers(30)...)
	b := newBed(t, policy, servers(30)...)
	for _, path := range []string{"/a", "/b", "/c"} {
		if got, want := addressOf(b.choose(request(t, "http://example.com"+path))), plain.pick(path); got != want {
			t.Errorf("path %s: %s, want %s", path, got, want)
		}
		if got, want := addressOf(b.choose(request(t, "http://example.com"+path+"?user=eve"))), hrw.pick("eve"); got != want {
			t.Errorf("query on %s: %s, want %s", path, got, want)
		}
		r := request(t, "http://example.com"+path+"?user=eve")
		r.HTTP.Header.Set("X-User", "adam")
		if got, want := addressOf(b.choose(r)), hrw.pick("adam"); got != want {
			t.Errorf("header on %s: %s, want %s", path, got, want)
		}
	}
}

func TestProvisionErrors(t *testing.T) {
	t.Setenv("LB_SHORT", "0123456789")
	ctx, cancel := caddy.NewContext(caddy.Context{Context: t.Context()})
	defer cancel()
	for want, policy := range map[string]caddy.Provisioner{
		"field is required":        &Header{},
		"key is required":          &Query{},
		"loading fallback":         &Header{Field: "X", FallbackRaw: json.RawMessage(`{"policy":"nothing"}`)},
		"unknown module":           &Cookie{Stickiness: Stickiness{FallbackRaw: json.RawMessage(`{"policy":"nothing"}`)}},
		"secret: ":                 &Cookie{Stickiness: Stickiness{Format: FormatSigned, Secret: "{env.LB_NO_SUCH_SECRET}"}},
		"secret of at least":       &StickyHeader{Field: "X", Stickiness: Stickiness{Format: FormatSigned, Secret: "{env.LB_SHORT}"}},
		"opened and not closed":    &Query{QueryKey: "x", FallbackRaw: json.RawMessage(`{"policy":"maglev","hash_key":"{x"}`)},
		"hash_key '{': a brace is": &Rendezvous{Hashing{HashKey: "{"}},
	} {
		if err := policy.Provision(ctx); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
	pool := lb.NewPool("test", provisioned(t, &Cookie{Stickiness: Stickiness{FallbackRaw: json.RawMessage(`{"policy":"maglev","table_size":2}`)}}))
	var members []*lb.Member
	for _, s := range servers(3) {
		members = append(members, member(t, s))
	}
	if err := pool.Update(members); err == nil || !strings.Contains(err.Error(), "fallback: maglev") {
		t.Errorf("a fallback's own error: %v", err)
	}
}
