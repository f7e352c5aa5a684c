package lbproxy

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	_ "github.com/caddyserver/caddy/v2/modules/standard"

	_ "github.com/caddylb/caddy-lb/modules/healthcheck"
	_ "github.com/caddylb/caddy-lb/modules/selection"
)

// adapt turns a Caddyfile into compact JSON.
func adapt(t testing.TB, text string) (string, error) {
	t.Helper()
	out, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(text), map[string]any{"filename": "Caddyfile"})
	return string(out), err
}

// TestRenamedDirectiveAdaptsAlike takes configurations of reverse_proxy, renames the directive and compares.
func TestRenamedDirectiveAdaptsAlike(t *testing.T) {
	for name, body := range map[string]string{
		"addresses":         "reverse_proxy 10.0.0.1 localhost:81 [::1]:82 unix//run/a.sock host:8001-8003",
		"network prefix":    "reverse_proxy tcp4/10.0.0.1:80 udp/10.0.0.2:81",
		"placeholders":      "reverse_proxy {http.vars.up} {http.vars.host}:80 localhost:{http.vars.port}",
		"https":             "reverse_proxy https://a.example https://b.example:8443",
		"h2c":               "reverse_proxy h2c://10.0.0.1:80 h2c://10.0.0.2",
		"unix h2c":          "reverse_proxy unix+h2c//run/a.sock",
		"http urls":         "reverse_proxy http://10.0.0.1:8001-8002",
		"ipv6 url":          "reverse_proxy http://[::1]:81",
		"to":                "reverse_proxy {\n to 10.0.0.1:80 10.0.0.2:80\n to 10.0.0.3:80\n}",
		"transport":         "reverse_proxy https://a.example {\n transport http {\n  dial_timeout 2s\n  tls_server_name x\n }\n}",
		"two transports":    "reverse_proxy 10.0.0.1:80 {\n transport http {\n  dial_timeout 1s\n }\n transport http {\n  dial_timeout 2s\n }\n}",
		"default transport": "reverse_proxy 10.0.0.1:80 {\n transport http\n}",
		"active":            "reverse_proxy 10.0.0.1:80 {\n health_uri /h\n health_port 81\n health_interval 2s\n health_timeout 1s\n health_status 2xx\n health_body ok\n health_method POST\n health_request_body hi\n health_follow_redirects\n health_passes 2\n health_fails 3\n health_headers {\n  Host a b\n  X\n }\n}",
		"active upstream":   "reverse_proxy 10.0.0.1:80 {\n health_uri /h\n health_upstream 10.0.0.9:99\n}",
		"passive":           "reverse_proxy 10.0.0.1:80 {\n fail_duration 30s\n max_fails 3\n unhealthy_status 5xx 429\n unhealthy_latency 2s\n unhealthy_request_count 10\n}",
	} {
		t.Run(name, func(t *testing.T) {
			want, err := adapt(t, ":80 {\n"+body+"\n}")
			if err != nil {
				t.Fatal(err)
			}
			got, err := adapt(t, ":80 {\n"+strings.Replace(body, "reverse_proxy", "lb_proxy", 1)+"\n}")
			if err != nil {
				t.Fatal(err)
			}
			if want = strings.ReplaceAll(want, `"handler":"reverse_proxy"`, `"handler":"lb_proxy"`); got != want {
				t.Errorf("adapted to\n%s\nwant\n%s", got, want)
			}
		})
	}
}

// TestRefusedAsByReverseProxy compares refusals: what reverse_proxy refuses is refused, with its file and line.
func TestRefusedAsByReverseProxy(t *testing.T) {
	for name, body := range map[string]string{
		"websocket scheme": "reverse_proxy ws://10.0.0.1",
		"unknown scheme":   "reverse_proxy ftp://10.0.0.1",
		"path in address":  "reverse_proxy http://10.0.0.1/api",
		"scheme and port":  "reverse_proxy http://10.0.0.1:443",
		"url placeholder":  "reverse_proxy https://{http.vars.up}",
		"two policies":     "reverse_proxy 10.0.0.1 {\n lb_policy first\n lb_policy random\n}",
		"http over tls":    "reverse_proxy http://10.0.0.1 {\n transport http {\n  tls\n }\n}",
		"bad status":       "reverse_proxy 10.0.0.1 {\n health_status what\n}",
		"bad duration":     "reverse_proxy 10.0.0.1 {\n fail_duration soon\n}",
		"upstream port":    "reverse_proxy 10.0.0.1 {\n health_upstream nowhere\n}",
		"port after up":    "reverse_proxy 10.0.0.1 {\n health_upstream a:1\n health_port 2\n}",
		"no argument":      "reverse_proxy 10.0.0.1 {\n health_uri\n}",
		"unknown":          "reverse_proxy 10.0.0.1 {\n nonsense\n}",
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := adapt(t, ":80 {\n"+body+"\n}"); err == nil {
				t.Fatal("reverse_proxy takes it")
			}
			_, err := adapt(t, ":80 {\n"+strings.Replace(body, "reverse_proxy", "lb_proxy", 1)+"\n}")
			if err == nil {
				t.Fatal("no error")
			}
			if !strings.Contains(err.Error(), "Caddyfile:") {
				t.Errorf("%q names no file and line", err)
			}
		})
	}
}

// TestPoolErrors checks that what is wrong with a pool is said with file, line and the mend.
func TestPoolErrors(t *testing.T) {
	site := func(body string) string { return ":80 {\n\tlb_proxy {\n\t\t" + body + "\n\t}\n}" }
	global := func(body string) string { return "{\n" + body + "\n}\n:80 {\n\trespond ok\n}" }
	for name, c := range map[string]struct {
		text string
		want []string
	}{
		"unknown policy":        {site("to a:1\n\t\tlb_policy fastest"), []string{"'fastest'", "round_robin", "Caddyfile:4"}},
		"twice":                 {site("backend a:1\n\t\tbackend a:1"), []string{"twice", "line 3", "weight", "Caddyfile:4"}},
		"twice by another form": {site("to a:80\n\t\tbackend a"), []string{"twice", "Caddyfile:4"}},
		"negative weight":       {site("backend a:1 weight -1"), []string{"0 to 1048576", "-1", "Caddyfile:3"}},
		"huge weight":           {site("backend a:1 {\n weight 1099511627776\n}"), []string{"0 to 1048576", "Caddyfile:4"}},
		"no backends":           {":80 {\n\tlb_proxy\n}", []string{"no backends", "'to'", "Caddyfile:2"}},
		"no backends in a pool": {global("lb_pool a {\n lb_policy first\n}"), []string{"no backends", "'to'", "Caddyfile:2"}},
		"no such pool":          {site("pool api"), []string{`"api"`, "lb_pool api", "Caddyfile:3"}},
		"pool and backends":     {"{\n lb_pool a {\n to a:1\n}\n}\n:80 {\n lb_proxy b:1 {\n pool a\n}\n}", []string{"lb_pool", "Caddyfile:7"}},
		"two pools of a name":   {global("lb_pool a {\n to a:1\n}\nlb_pool a {\n to b:1\n}"), []string{"already", "Caddyfile:5"}},
		"pool without name":     {global("lb_pool {\n to a:1\n}"), []string{"lb_pool <name>", "Caddyfile:2"}},
		"request option":        {global("lb_pool a {\n to a:1\n lb_retries 3\n}"), []string{"lb_retries", "lb_proxy", "Caddyfile:4"}},
		"no address":            {site("backend"), []string{"host:port", "Caddyfile:3"}},
		"option without value":  {site("backend a:1 weight"), []string{"weight", "Caddyfile:3"}},
		"unknown option":        {site("backend a:1 colour red"), []string{"colour", "priority", "Caddyfile:3"}},
		"key for round robin":   {site("to a:1\n\t\thash_key {path}"), []string{"hash_key", "consistent", "round_robin", "Caddyfile:4"}},
		"factor too small":      {site("to a:1\n\t\tlb_policy consistent\n\t\tbalance_factor 0.5"), []string{"above 1", "Caddyfile:5"}},
		"not a prime":           {site("to a:1\n\t\tlb_policy maglev {\n table_size 65536\n}"), []string{"65537", "Caddyfile:5"}},
		"frequency":             {site("to a:1\n\t\tupdate_frequency often"), []string{"30s", "Caddyfile:4"}},
		"bad CEL":               {site("to a:1\n\t\thealth_check http / {\n expect `{rp.status_code} ===`\n}"), []string{"Caddyfile:5"}},
		"unknown check":         {site("to a:1\n\t\thealth_check psychic"), []string{"psychic", "tcp", "Caddyfile:4"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := adapt(t, c.text)
			if err == nil {
				t.Fatal("no error")
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error %q does not contain %q", err, want)
				}
			}
		})
	}
}

// TestMixedSchemes checks that backends of different schemes keep theirs.
func TestMixedSchemes(t *testing.T) {
	out, err := adapt(t, ":80 {\n lb_proxy a:1 http://b:1 https://c h2c://d:1 unix//run/e.sock\n}")
	if err != nil {
		t.Fatal(err)
	}
	want := `"upstreams":[{"dial":"a:1"},{"dial":"b:1"},{"dial":"c:443","scheme":"https"},{"dial":"d:1","scheme":"h2c"},{"dial":"unix//run/e.sock"}]`
	if !strings.Contains(out, want) {
		t.Errorf("adapted to %s, want %s in it", out, want)
	}
}

func FuzzPoolCaddyfile(f *testing.F) {
	for _, seed := range []string{
		"lb_pool a {\n backend b:1 weight 2 {\n  priority 1\n }\n to c:1-3\n lb_policy consistent\n hash_key {path}\n balance_factor 1.5\n}",
		"lb_pool a {\n backend https://b {\n  tls_server_name x\n }\n health_check http / {\n  expect_status 2xx\n  interval 1s\n }\n update_frequency 30s\n}",
		"lb_pool a {\n to unix//x h2c://y\n transport http {\n  tls\n }\n health_uri /x\n fail_duration 3s\n unhealthy_status 5xx\n}",
		"lb_pool", "lb_pool {", "lb_pool a {\n backend\n}", "lb_pool a {\n to {\n}",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		tokens, err := caddyfile.Tokenize([]byte(text), "Caddyfile")
		if err != nil || len(tokens) == 0 {
			return
		}
		v, err := parsePool(caddyfile.NewDispenser(tokens), nil)
		if err != nil {
			return
		}
		// What is accepted is valid JSON of the lb app, with a backend in each pool.
		var app App
		if err := json.Unmarshal(v.(httpcaddyfile.App).Value, &app); err != nil {
			t.Fatal(err)
		}
		for name, pool := range app.Pools {
			if len(pool.Upstreams) == 0 {
				t.Errorf("pool %q was accepted without backends", name)
			}
		}
	})
}

func FuzzHandlerCaddyfile(f *testing.F) {
	for _, seed := range []string{
		"lb_proxy a:1 b:1 {\n lb_policy cookie c s {\n  fallback random\n }\n lb_retries 2\n header_up X y\n}",
		"lb_proxy {\n to https://a\n transport http {\n  dial_timeout 1s\n }\n lb_retry_match {\n  method GET\n }\n flush_interval -1\n}",
		"lb_proxy {\n pool x\n}", "lb_proxy", "lb_proxy a:1-99999", "lb_proxy :::", "lb_proxy unix/",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		tokens, err := caddyfile.Tokenize([]byte(text), "Caddyfile")
		if err != nil || len(tokens) == 0 {
			return
		}
		h := new(Handler)
		if err := h.UnmarshalCaddyfile(caddyfile.NewDispenser(tokens)); err != nil {
			return
		}
		if h.PoolName == "" && len(h.Upstreams) == 0 {
			t.Error("accepted without pool and backends")
		}
		if _, err := json.Marshal(h); err != nil {
			t.Error(err)
		}
	})
}
