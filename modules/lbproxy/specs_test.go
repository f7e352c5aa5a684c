package lbproxy

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
)

// The name to expect in a certificate is the backend's own, else the transport's, else the host that was looked
// up.
func TestServerNameOfLookedUpBackends(t *testing.T) {
	for name, c := range map[string]struct{ upstream, transport, want string }{
		"host":             {"", `{"protocol":"http","tls":{}}`, "app.internal"},
		"transport's":      {"", `{"protocol":"http","tls":{"server_name":"all.internal"}}`, ""},
		"backend's own":    {"one.internal", `{"protocol":"http","tls":{"server_name":"all.internal"}}`, "one.internal"},
		"none without TLS": {"", `{"protocol":"http"}`, ""},
	} {
		config := PoolConfig{
			Upstreams:       []*Upstream{{Dial: "app.internal:443", TLSServerName: c.upstream}},
			TransportRaw:    json.RawMessage(c.transport),
			UpdateFrequency: caddy.Duration(time.Minute),
		}
		specs, err := config.memberSpecs()
		if err != nil {
			t.Fatal(err)
		}
		if got := specs[0].serverName; got != c.want {
			t.Errorf("%s: server name %q, want %q", name, got, c.want)
		}
	}
}

func TestUpstreamsAreChecked(t *testing.T) {
	heavy, negative := 1<<40, -1
	for name, upstreams := range map[string][]*Upstream{
		"none":            nil,
		"twice":           {{Dial: "a:1"}, {Dial: "a:1"}},
		"no address":      {{Dial: ""}},
		"no port":         {{Dial: "a"}},
		"port range":      {{Dial: "a:1-3"}},
		"unknown scheme":  {{Dial: "a:1", Scheme: "ftp"}},
		"heavy":           {{Dial: "a:1", Weight: &heavy}},
		"negative weight": {{Dial: "a:1", Weight: &negative}},
	} {
		if _, err := (&PoolConfig{Upstreams: upstreams}).memberSpecs(); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
