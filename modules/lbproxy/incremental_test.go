package lbproxy

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
)

func TestIncrementalMessagesAreNotBuffered(t *testing.T) {
	b := startBackend(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Proxy-Status", "inner; error=none")
		if r.URL.Path == "/answer" {
			w.Header().Set("Incremental", "?1")
		}
		_, _ = io.WriteString(w, "body")
	})
	for _, tc := range []struct {
		name, handler, method, path, incremental string
		status                                   int
		proxyStatus                              string
	}{
		{"nothing stands against it", "", "POST", "/", "?1", 200, "inner; error=none"},
		{"request buffers", `,"request_buffers":10,"proxy_status_name":"edge"`, "POST", "/", "?1", 501, "edge;error=incremental_refused"},
		{"no name", `,"request_buffers":10`, "POST", "/", "?1", 501, ""},
		{"not asked for", `,"request_buffers":10`, "POST", "/", "?0", 200, "inner; error=none"},
		{"nothing to buffer", `,"request_buffers":10`, "GET", "/", "?1", 200, "inner; error=none"},
		{"made incremental", `,"request_buffers":10,"headers":{"request":{"set":{"Incremental":["?1"]}}}`, "POST", "/", "", 501, ""},
		{"response buffers", `,"response_buffers":10,"proxy_status_name":"the edge"`, "GET", "/answer", "", 501, `inner;error=none, "the edge";error=incremental_refused`},
		{"answer without body", `,"response_buffers":10`, "HEAD", "/answer", "", 200, "inner; error=none"},
	} {
		p := startProxy(t, upstreams(b.URL)+tc.handler)
		var body io.Reader
		if tc.method == "POST" {
			body = strings.NewReader("body")
		}
		var fields []string
		if tc.incremental != "" {
			fields = []string{"Incremental", tc.incremental}
		}
		r := p.send(tc.method, tc.path, body, fields...)
		if r.status != tc.status || r.header.Get("Proxy-Status") != tc.proxyStatus {
			t.Errorf("%s: %d, Proxy-Status %q", tc.name, r.status, r.header.Get("Proxy-Status"))
		}
		_ = caddy.Stop()
	}
}

func TestResponseBuffers(t *testing.T) {
	b := startBackend(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, strings.Repeat("x", 5000))
	})
	for _, buffers := range []string{"100", "5000", "100000", "-1"} {
		p := startProxy(t, upstreams(b.URL)+`,"response_buffers":`+buffers)
		if r := p.get("/"); len(r.body) != 5000 {
			t.Errorf("%s: %d bytes", buffers, len(r.body))
		}
		_ = caddy.Stop()
	}
}
