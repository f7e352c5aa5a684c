package lbproxy

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"

	_ "github.com/caddylb/caddy-lb/modules/cluster"
)

// warningsLogged are what the logger lb has warned of in the configuration. What it tells of
// backends while they run has their pool beside it.
func warningsLogged(t *testing.T) []string {
	t.Helper()
	logged.Lock()
	defer logged.Unlock()
	var texts []string
	for line := range strings.Lines(logged.text.String()) {
		var entry struct{ Level, Logger, Msg, Pool string }
		if err := json.Unmarshal([]byte(line), &entry); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		if entry.Level == "warn" && entry.Logger == "lb" && entry.Pool == "" {
			texts = append(texts, entry.Msg)
		}
	}
	return texts
}

// A configuration in JSON has no file and no line, but the same mistakes.
func TestMistakesAreWarnedOfAtLoad(t *testing.T) {
	two := upstreams("127.0.0.1:1", "127.0.0.1:2")
	one := upstreams("127.0.0.1:1")
	check := `"health_checks":{"checks":[{"check":{"kind":"tcp"},"initial":"healthy"}]}`
	for name, c := range map[string]struct {
		handler string
		options serverOptions
		want    []string
	}{
		"fine":               {handler: one},
		"nothing is noticed": {handler: two, want: []string{"one that fails is not taken out of service"}},
		"all weights 0": {
			handler: `"upstreams":[{"dial":"127.0.0.1:1","weight":0}]`, want: []string{"every backend has weight 0"},
		},
		"only backups": {handler: `"upstreams":[{"dial":"127.0.0.1:1","backup":true}]`, want: []string{"every backend is a backup"}},
		"queue":        {handler: one + `,"load_balancing":{"queue":{"size":5}}`, want: []string{"no request ever waits in the queue"}},
		"bounded queue": {
			handler: `"upstreams":[{"dial":"127.0.0.1:1","max_requests":1}],"load_balancing":{"queue":{"size":5}}`,
		},
		"hash key": {
			handler: one + `,"load_balancing":{"selection_policy":{"policy":"consistent","hash_key":"{http.request.headr.X}"}}`,
			want:    []string{"did you mean {http.request.header.X}?"},
		},
		"filter": {
			handler: one + `,"filters":[{"filter":"rate_limit","key":"{clientip}","events":1,"window":"1s"}]`,
			want:    []string{"filter rate_limit: the key {clientip}"},
		},
		"weights": {
			handler: two + `,` + check + `,"load_balancing":{"selection_policy":{"policy":"weighted_round_robin","weights":[1]}}`,
			want:    []string{"no weight for 1 of 2 backends"},
		},
		"interval": {
			handler: one + `,"health_checks":{"checks":[{"check":{"kind":"tcp"},"interval":"1ms","timeout":"1s"}]}`,
			want:    []string{"checked every 1ms"},
		},
		"behind one that takes every request": {
			handler: one, options: serverOptions{after: `{"handler":"lb_proxy",` + upstreams("127.0.0.1:3") + `}`},
			want: []string{"lb_proxy to 127.0.0.1:3 can never be reached: lb_proxy to 127.0.0.1:1 stands before it"},
		},
		"behind reverse_proxy": {
			handler: one, options: serverOptions{before: `{"handler":"reverse_proxy",` + upstreams("127.0.0.1:3") + `}`},
			want: []string{"a reverse_proxy without a matcher stands before it"},
		},
		"in routes behind": {
			handler: one, options: serverOptions{after: `{"handler":"subroute","routes":[{"match":[{"path":["/x"]}],` +
				`"handle":[{"handler":"lb_proxy",` + upstreams("127.0.0.1:3") + `}]}]}`},
			want: []string{"lb_proxy to 127.0.0.1:3 can never be reached"},
		},
		"behind one with a matcher": {
			handler: one, options: serverOptions{before: `{"handler":"subroute","routes":[{"match":[{"path":["/x"]}],` +
				`"handle":[{"handler":"lb_proxy",` + upstreams("127.0.0.1:3") + `}]}]}`},
		},
		"behind one of a group": {
			handler: one, options: serverOptions{before: `{"handler":"subroute","routes":[` +
				`{"group":"g","match":[{"path":["/x"]}],"handle":[{"handler":"headers"}]},` +
				`{"group":"g","handle":[{"handler":"lb_proxy",` + upstreams("127.0.0.1:3") + `}]}]}`},
		},
		"behind one that goes on": {
			handler: one + `,"handle_response":[{"match":{"status_code":[2]},"routes":[]}]`,
			options: serverOptions{after: `{"handler":"lb_proxy",` + upstreams("127.0.0.1:3") + `}`},
		},
		"unused pool": {
			handler: `"pool":"a","mirror":[{"pool":"b"}]`,
			options: serverOptions{apps: `"lb":{"pools":{"a":{` + one + `},"b":{` + one + `},"c":{` + two + `}}}`},
			want:    []string{"pool c: there are 2 backends", "pool c is used by nothing"},
		},
		"pool of a filter": {
			handler: one + `,"filters":[{"filter":"canary","pool":"a","percent":5}]`,
			options: serverOptions{apps: `"lb":{"pools":{"a":{` + one + `}}}`},
		},
	} {
		t.Run(name, func(t *testing.T) {
			startProxy(t, c.handler, c.options)
			got := warningsLogged(t)
			if len(got) != len(c.want) {
				t.Errorf("%d warnings, want %d: %q", len(got), len(c.want), got)
			}
			for i := range min(len(got), len(c.want)) {
				if !strings.Contains(got[i], c.want[i]) {
					t.Errorf("warned of %q, want %q", got[i], c.want[i])
				}
			}
		})
	}
}

// What the adapter has told its user is not told again by the process that loads the result, once.
func TestWarningsOfTheAdapterAreNotRepeated(t *testing.T) {
	site := `{
	admin off
	lb_pool old {
		to 127.0.0.1:1 127.0.0.1:2
	}
}
:` + strings.TrimPrefix(freeAddress(t), "127.0.0.1:") + ` {
	lb_proxy 127.0.0.1:1 127.0.0.1:2 {
		filter max_inflight {clientip} 5
	}
	lb_proxy 127.0.0.1:3
}`
	config, err := adapt(t, site)
	if err != nil {
		t.Fatal(err)
	}
	config = `{"logging":{"logs":{"default":{"writer":{"output":"lb_proxy_test"},"encoder":{"format":"json"}}}},` + config[1:]
	config = strings.Replace(config, `"apps":{`, `"apps":{"tls":{"disable_storage_check":true,"disable_storage_clean":true},`, 1)
	t.Cleanup(func() { _ = caddy.Stop() })
	for _, want := range []int{0, 5} {
		logged.Lock()
		logged.text.Reset()
		logged.Unlock()
		if err := caddy.Load([]byte(config), true); err != nil {
			t.Fatal(err)
		}
		if got := warningsLogged(t); len(got) != want {
			t.Errorf("%d warnings, want %d: %q", len(got), want, got)
		}
	}
}

// A configuration is the same wherever its parts stand in the file.
func TestPlacesAreNotInTheJSON(t *testing.T) {
	site := `{
	lb_pool named {
		to app.example
		update_frequency 30s
	}
	lb_cluster redis://127.0.0.1:1
}
:80 {
	lb_proxy app.example {
		update_frequency 30s
		hedge 50ms
		filter rate_limit {client_ip} 1/s {
			storage redis://127.0.0.1:1
		}
	}
}`
	want, err := adapt(t, site)
	if err != nil {
		t.Fatal(err)
	}
	got, err := adapt(t, "# a comment\n\n"+strings.ReplaceAll(site, "lb_proxy", "# another\nlb_proxy"))
	if err != nil {
		t.Fatal(err)
	}
	if got != want {
		t.Errorf("adapted to\n%s\nwant\n%s", got, want)
	}
	if strings.Contains(got, "Caddyfile") {
		t.Errorf("%s names the file", got)
	}
}
