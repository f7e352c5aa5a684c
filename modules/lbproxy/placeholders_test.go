package lbproxy

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
)

// shown is a handler whose placeholders are read at the given moments.
func shown(names ...string) string {
	var parts []string
	for _, n := range names {
		parts = append(parts, n+"={http.reverse_proxy."+n+"}")
	}
	return strings.Join(parts, " ")
}

func TestPlaceholdersForTheBackend(t *testing.T) {
	b := startBackend(t, func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.Header.Get("X-Shown")) })
	address := b.Listener.Addr().String()
	host, port, _ := strings.Cut(address, ":")
	p := startProxy(t, fmt.Sprintf(`"upstreams":[{"dial":%q},{"dial":%q,"weight":3,"max_requests":7}],"load_balancing":{"selection_policy":{"policy":"first"}},
		"headers":{"request":{"set":{"X-Shown":[%q]}}}`, deadAddress(t), address,
		shown("upstream.address", "upstream.hostport", "upstream.host", "upstream.port", "upstream.requests", "upstream.max_requests",
			"upstream.fails", "upstream.weight", "upstream.scheme", "tries", "status_code")))
	want := fmt.Sprintf("upstream.address=tcp/%s upstream.hostport=%s upstream.host=%s upstream.port=%s upstream.requests=1 upstream.max_requests=7 upstream.fails=0 upstream.weight=3 upstream.scheme=http tries=2 status_code={http.reverse_proxy.status_code}",
		address, address, host, port)
	if r := p.get("/"); r.body != want {
		t.Errorf("got  %s\nwant %s", r.body, want)
	}
}

func TestPlaceholdersInTheLog(t *testing.T) {
	b := startBackend(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Answer", "42")
		w.Header().Set("Connection", "X-Hop")
		w.Header().Set("X-Hop", "hop")
		_, _ = io.WriteString(w, "body")
	})
	names := []string{
		"pool", "tries", "retries", "status_code", "status_text", "header.X-Answer", "header.x-hop", "upstream.latency_ms",
		"upstream.duration_ms", "duration_ms", "upstream.latency", "upstream.duration", "duration", "upstream.name",
	}
	var fields []string
	for _, n := range names {
		fields = append(fields, fmt.Sprintf(`{"handler":"log_append","key":%q,"value":"{http.reverse_proxy.%[1]s}"}`, n))
	}
	dead := deadAddress(t)
	p := startProxy(t, upstreams(dead, b.URL)+`,"load_balancing":{"selection_policy":{"policy":"first"}},"headers":{"response":{"delete":["X-Answer"]}}`,
		serverOptions{before: strings.Join(fields, ",")})
	if r := p.get("/logged"); r.status != 200 || r.header.Get("X-Answer") != "" {
		t.Fatalf("got %d, %v", r.status, r.header)
	}
	line := logLine(t, "/logged", `"header.X-Answer":`)
	for _, want := range []string{
		`"pool":"` + p.address + `"`, `"tries":2`, `"retries":1`, `"status_code":200`, `"status_text":"200 OK"`, `"header.X-Answer":"42"`, `"header.x-hop":"hop"`,
	} {
		if !strings.Contains(line, want) {
			t.Errorf("no %s in %s", want, line)
		}
	}
	for _, n := range names {
		if strings.Contains(n, "duration") || strings.Contains(n, "latency") {
			if strings.Contains(line, `"`+n+`":""`) || strings.Contains(line, `"`+n+`":null`) || !strings.Contains(line, `"`+n+`":`) {
				t.Errorf("no %s in %s", n, line)
			}
		}
	}
}

// What a handler before this one left must not be taken for this one's, nor be gone before this one has its own.
func TestPlaceholdersOfTwoHandlers(t *testing.T) {
	auth := startBackend(t, func(w http.ResponseWriter, r *http.Request) { w.Header().Set("X-User", "alice") })
	b := startBackend(t, func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.Header.Get("X-Shown")) })
	through := `"handle_response":[{"match":{"status_code":[2]},"routes":[]}]`
	for _, first := range []string{"reverse_proxy", "lb_proxy"} {
		p := startProxy(t, upstreams(b.URL)+fmt.Sprintf(`,"headers":{"request":{"set":{"X-Shown":[%q]}},"response":{"set":{"X-After":["user={http.reverse_proxy.header.X-User}"]}}}`,
			shown("header.X-User", "upstream.hostport")), serverOptions{before: fmt.Sprintf(`{"handler":%q,%s,%s}`, first, upstreams(auth.URL), through)})
		r := p.get("/")
		if want := "header.X-User=alice upstream.hostport=" + b.Listener.Addr().String(); r.body != want {
			t.Errorf("%s: got %q, want %q", first, r.body, want)
		}
		if got := r.header.Get("X-After"); got != "user={http.reverse_proxy.header.X-User}" {
			t.Errorf("%s: after the answer: %q", first, got)
		}
	}
}
