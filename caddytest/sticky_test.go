package caddytest

import (
	"net/http"
	"testing"
)

// TestStickyHeader has an API client keep its backend by a header field: over drains, and until the backend goes.
func TestStickyHeader(t *testing.T) {
	b := NewBackends(t, "A", "B")
	s := Start(t, `{
	lb_pool p {
		backend {$A}
		backend {$B}
		lb_policy sticky_header X-Sticky {
			secret 6b1f0c7a9d3e4582
			format signed
			fallback first
		}
		fail_duration 1h
	}
}
http://127.0.0.1:{$PORT} {
	lb_proxy {
		pool p
	}
}
`, addresses(b...))
	first := s.Get(s.URL("PORT", "/"))
	name := first.Header.Get("X-Sticky")
	if first.Backend() != "A" || name == "" {
		t.Fatalf("the first answer is from %s, and names %q", first.Backend(), name)
	}
	s.patch("p", b[0].Addr, `{"drain":true}`)
	if r := s.Get(s.URL("PORT", "/")); r.Backend() != "B" {
		t.Errorf("a new client is served by %s, which is drained", r.Backend())
	}
	if r := s.Get(s.URL("PORT", "/"), "X-Sticky", name); r.Backend() != "A" || r.Header["X-Sticky"] != nil {
		t.Errorf("the client is served by %s and told %q", r.Backend(), r.Header["X-Sticky"])
	}
	b[0].Down()
	r := s.Get(s.URL("PORT", "/"), "X-Sticky", name)
	if got := r.Header.Values("X-Sticky"); r.Status != http.StatusOK || r.Backend() != "B" || len(got) != 1 || got[0] == name {
		t.Errorf("with its backend down the client gets %d from %s and is told %q", r.Status, r.Backend(), got)
	}
	if r := s.Get(s.URL("PORT", "/"), "X-Sticky", r.Header.Get("X-Sticky")); r.Backend() != "B" || r.Header["X-Sticky"] != nil {
		t.Errorf("then the client is served by %s and told %q", r.Backend(), r.Header["X-Sticky"])
	}
}
