package lbproxy

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
)

func TestCommandConfig(t *testing.T) {
	for name, c := range map[string]struct {
		flags quickConfig
		want  []string // parts of the JSON
	}{
		"https for a name": {
			quickConfig{from: "example.com", to: []string{"10.0.0.1:80"}},
			[]string{`"listen":[":443"]`, `"host":["example.com"]`, `"upstreams":[{"dial":"10.0.0.1:80"}]`, `"handler":"lb_proxy"`},
		},
		"http for a port": {
			quickConfig{from: ":8080", to: []string{"10.0.0.1", "10.0.0.2:81-82"}},
			[]string{`"listen":[":8080"]`, `"automatic_https":{"disable":true}`, `{"dial":"10.0.0.1:80"},{"dial":"10.0.0.2:81"},{"dial":"10.0.0.2:82"}`},
		},
		"https behind": {
			quickConfig{from: ":80", to: []string{"https://a", "https://b"}, insecure: true},
			[]string{`"dial":"a:443"`, `"tls":{"insecure_skip_verify":true}`},
		},
		"mixed behind": {
			quickConfig{from: ":80", to: []string{"https://a", "b", "h2c://c"}, insecure: true},
			[]string{`{"dial":"a:443","scheme":"https"},{"dial":"b:80","scheme":"http"},{"dial":"c:80","scheme":"h2c"}`, `"insecure_skip_verify":true`},
		},
		"policy, health, headers": {
			quickConfig{
				from: "localhost:9000", to: []string{"a:1"}, policy: "least_request", health: "/h?x=1", changeHost: true,
				headerUp: []string{"X-Up: 1"}, headerDown: []string{"X-Down: 2:3"}, disableRedirects: true, internalCerts: true, accessLog: true,
			},
			[]string{
				`"selection_policy":{"policy":"least_request"}`, `"uri":"/h?x=1"`, `"X-Up":["1"]`, `"X-Down":["2:3"]`,
				`"Host":["{http.reverse_proxy.upstream.hostport}"]`, `"disable_redirects":true`, `{"module":"internal"}`, `"logs":{}`, `:9000`,
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			config, err := c.flags.build()
			if err != nil {
				t.Fatal(err)
			}
			out, err := json.Marshal(config)
			if err != nil {
				t.Fatal(err)
			}
			for _, want := range c.want {
				if !strings.Contains(string(out), want) {
					t.Errorf("%s\nis not in %s", want, out)
				}
			}
			if err := caddy.Validate(config); err != nil {
				t.Errorf("the configuration is not valid: %v", err)
			}
		})
	}
}

func TestCommandHelpNamesPolicies(t *testing.T) {
	names := barePolicies()
	for name, want := range map[string]bool{"round_robin": true, "consistent": true, "header": false, "weighted_round_robin": false} {
		if slices.Contains(names, name) != want {
			t.Errorf("%s is among %q: %v, want %v", name, names, !want, want)
		}
	}
}

func TestCommandRefusesBadFlags(t *testing.T) {
	for name, c := range map[string]struct {
		flags quickConfig
		want  string
	}{
		"no backend":     {quickConfig{from: ":80"}, "--to"},
		"path":           {quickConfig{from: "example.com/x", to: []string{"a"}}, "paths"},
		"bad backend":    {quickConfig{from: ":80", to: []string{"ftp://a"}}, "ftp"},
		"twice":          {quickConfig{from: ":80", to: []string{"a", "a:80"}}, "twice"},
		"bad header":     {quickConfig{from: ":80", to: []string{"a"}, headerUp: []string{"nothing"}}, "header-up"},
		"bad answer":     {quickConfig{from: ":80", to: []string{"a"}, headerDown: []string{":x"}}, "header-down"},
		"scheme clash":   {quickConfig{from: ":80", to: []string{"http://a:443"}}, "443"},
		"no such policy": {quickConfig{from: ":80", to: []string{"a"}, policy: "foo"}, "--policy: there is no selection policy 'foo': write one of client_ip_hash, consistent"},
		"misspelt":       {quickConfig{from: ":80", to: []string{"a"}, policy: "least_requests"}, "did you mean least_request?"},
		"with options":   {quickConfig{from: ":80", to: []string{"a"}, policy: "header"}, "write a Caddyfile, or one of client_ip_hash, consistent"},
		"health no path": {quickConfig{from: ":80", to: []string{"a"}, health: "health"}, "write /health"},
		"bad from port":  {quickConfig{from: ":x", to: []string{"a"}}, "--from"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := c.flags.build()
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want one about %q", err, c.want)
			}
		})
	}
}
