package caddytest

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

var tlsFaults = []fault{
	{
		name: "one_scheme_for_all", what: "one backend over HTTP, one over HTTPS",
		run:   mixedSchemes,
		stock: "the configuration is refused",
		ours:  "both serve",
	},
	{
		name: "one_server_name_for_all", what: "two backends whose certificates are for different names",
		run:   serverNames,
		stock: "both are asked for a.test",
		ours:  "one is asked for a.test, the other for b.test",
	},
	{
		name: "server_name_placeholder", what: "`tls_server_name {http.request.host}`, and requests for a.test, then for b.test",
		run:   serverNamePlaceholder,
		stock: "the backend is asked for a.test, and the request for b.test goes over that connection",
		ours:  "the backend is asked for a.test, then for b.test",
	},
}

func mixedSchemes(t *testing.T, proxy string) string {
	b := NewBackends(t, "PLAIN")
	secure := newSecureBackend(t)
	const caddyfile = `http://127.0.0.1:{$PORT} {
	{$PROXY} http://{$PLAIN} https://{$SECURE} {
		lb_policy round_robin
		transport http {
			tls_trust_pool file {$CA}
		}
	}
}
`
	vars := addresses(b...)
	vars["SECURE"], vars["CA"], vars["PROXY"], vars["PORT"] = secure.addr, secure.ca, proxy, freePort(t)
	expanded := placeholder.ReplaceAllStringFunc(caddyfile, func(m string) string { return vars[m[2:len(m)-1]] })
	if _, _, err := adapt(expanded); err != nil {
		return "the configuration is refused"
	}
	s := Start(t, caddyfile, vars)
	count := s.spread(s.URL("PORT", "/"), 2)
	if count["PLAIN"] == 1 && count["secure"] == 1 {
		return "both serve"
	}
	return fmt.Sprintf("the answers come from %v", count)
}

func serverNames(t *testing.T, proxy string) string {
	a, b := newSecureBackend(t), newSecureBackend(t)
	// reverse_proxy has no place for a name but the transport.
	caddyfile := `http://127.0.0.1:{$PORT} {
	{$PROXY} https://{$A} https://{$B} {
		lb_policy round_robin
		transport http {
			tls_server_name a.test
			tls_insecure_skip_verify
		}
	}
}
`
	if proxy == "lb_proxy" {
		caddyfile = strings.NewReplacer(
			" https://{$A} https://{$B} {", " {\n\t\tbackend https://{$A} tls_server_name a.test\n\t\tbackend https://{$B} tls_server_name b.test",
			"\t\t\ttls_server_name a.test\n", "",
		).Replace(caddyfile)
	}
	s := startAs(t, proxy, caddyfile, map[string]string{"A": a.addr, "B": b.addr})
	s.spread(s.URL("PORT", "/"), 2)
	if a.name.Load() == b.name.Load() {
		return fmt.Sprintf("both are asked for %v", a.name.Load())
	}
	return fmt.Sprintf("one is asked for %v, the other for %v", a.name.Load(), b.name.Load())
}

func serverNamePlaceholder(t *testing.T, proxy string) string {
	secure := newSecureBackend(t)
	s := startAs(t, proxy, `http://:{$PORT} {
	{$PROXY} https://{$A} {
		transport http {
			tls_server_name {http.request.host}
			tls_insecure_skip_verify
		}
	}
}
`, map[string]string{"A": secure.addr})
	var asked []any
	for _, host := range []string{"a.test", "b.test"} {
		req := newRequest(t, http.MethodGet, s.URL("PORT", "/"), "")
		req.Host = host
		if r := s.do(req); r.Status != http.StatusOK {
			t.Fatalf("%s: status %d: %s", host, r.Status, r.Body)
		}
		asked = append(asked, secure.name.Load())
	}
	if asked[0] == asked[1] {
		return fmt.Sprintf("the backend is asked for %v, and the request for b.test goes over that connection", asked[0])
	}
	return fmt.Sprintf("the backend is asked for %v, then for %v", asked...)
}
