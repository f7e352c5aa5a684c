package healthcheck

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// adapt reads one health_check block.
func adapt(input string) (string, error) {
	tokens, err := caddyfile.Tokenize([]byte(input), "Caddyfile")
	if err != nil {
		return "", err
	}
	var c Config
	if err := c.UnmarshalCaddyfile(caddyfile.NewDispenser(tokens)); err != nil {
		return "", err
	}
	out, err := json.Marshal(&c)
	return string(out), err
}

var caddyfiles = []struct{ name, input, want string }{
	{"least", `health_check tcp`, `{"check":{"kind":"tcp"}}`},
	{"empty block", "health_check tcp {\n}", `{"check":{"kind":"tcp"}}`},
	{"common", `health_check tcp {
			interval 5s
			interval_unhealthy 2s
			timeout 500ms
			consecutive_success 2
			consecutive_failure 3
			port 9000
			jitter 20%
			sequential
			initial check
			proxy_protocol v2
		}`, `{"check":{"kind":"tcp","proxy_protocol":"v2"},"interval":5000000000,"interval_unhealthy":2000000000,` +
		`"timeout":500000000,"consecutive_success":2,"consecutive_failure":3,"port":9000,"jitter":0.2,"sequential":true,"initial":"check"}`},
	{"aliases", `health_check tcp {
			health_check_frequency 1m
			passes 2
			fails 3
			jitter off
		}`, `{"check":{"kind":"tcp"},"interval":60000000000,"consecutive_success":2,"consecutive_failure":3,"jitter":-1}`},
	{"jitter as a fraction", "health_check tcp {\n jitter 0.25\n}", `{"check":{"kind":"tcp"},"jitter":0.25}`},
	{"no jitter", "health_check tcp {\n jitter 0\n}", `{"check":{"kind":"tcp"},"jitter":-1}`},
	{"tls", `health_check tls a.test {
			interval 5s
			ca a.pem b.pem
			insecure_skip_verify
		}`, `{"check":{"ca":["a.pem","b.pem"],"insecure_skip_verify":true,"kind":"tls","tls_server_name":"a.test"},"interval":5000000000}`},
	{"grpc", `health_check grpc shop.Cart {
			tls_server_name b.test
			timeout 2s
		}`, `{"check":{"kind":"grpc","service":"shop.Cart","tls_server_name":"b.test"},"timeout":2000000000}`},
	{"dns", "health_check dns db.internal {\n resolver 10.0.0.53:53\n}", `{"check":{"kind":"dns","name":"db.internal","resolver":"10.0.0.53:53"}}`},
	{"http", `health_check "http" /up?x=1 {
			method POST
			host a.test
			interval 5s
			header x-token {env.TOKEN}
			header x-token two
			body "{}"
			scheme https
			upstream 10.0.0.9:80
			expect_status 200 204 3xx
			expect_header x-ready yes
			expect_header x-any
			expect_body ^ok$
			expect "{rp.status_code} == 200 && {rp.header.X} == 'y'"
			follow_redirects
			max_body 64KiB
			reuse_connection
		}`, `{"check":{"body":"{}","expect":"{http.reverse_proxy.status_code} == 200 \u0026\u0026 {http.reverse_proxy.header.X} == 'y'",` +
		`"expect_body":"^ok$","expect_headers":{"X-Any":[],"X-Ready":["yes"]},"expect_status":[200,204,3],"follow_redirects":true,` +
		`"headers":{"X-Token":["{env.TOKEN}","two"]},"host":"a.test","kind":"http","max_body":65536,"method":"POST",` +
		`"reuse_connection":true,"scheme":"https","upstream":"10.0.0.9:80","uri":"/up?x=1"},"interval":5000000000}`},
	{
		"unquoted expression", "health_check http {\n expect {rp.status_code} == 200\n}",
		`{"check":{"expect":"{http.reverse_proxy.status_code} == 200","kind":"http"}}`,
	},
}

func TestCaddyfile(t *testing.T) {
	for _, tc := range caddyfiles {
		t.Run(tc.name, func(t *testing.T) {
			got, err := adapt(tc.input)
			if err != nil {
				t.Fatal(err)
			}
			if got != tc.want {
				t.Errorf("got  %s\nwant %s", got, tc.want)
			}
			if strings.Contains(tc.input, ".pem") {
				return // the files do not exist
			}
			c := new(Config)
			if err := json.Unmarshal([]byte(got), c); err != nil {
				t.Fatal(err)
			}
			if err := c.Provision(newContext(t)); err != nil {
				t.Errorf("what was adapted does not load: %v", err)
			}
		})
	}
}

var badCaddyfiles = []struct{ input, want, line string }{
	{"health_check", "lacks its kind; write one of: dns, grpc, http", ":1"},
	{"health_check ping", `unknown health check "ping"; write one of: dns, grpc`, ":1"},
	{"health_check tcp {\n interval 0\n}", "longer than 0", ":2"},
	{"health_check tcp {\n interval soon\n}", `interval is "soon"`, ":2"},
	{"health_check tcp {\n interval 5s 6s\n}", "wrong argument count", ":2"},
	{"health_check tcp {\n interval\n}", "wrong argument count", ":2"},
	{"health_check tcp {\n\n passes 0\n}", "from 1 to", ":3"},
	{"health_check tcp {\n port 65536\n}", "from 1 to 65535", ":2"},
	{"health_check tcp {\n jitter 101%\n}", "from 0% to 100%", ":2"},
	{"health_check tcp {\n jitter NaN\n}", "from 0% to 100%", ":2"},
	{"health_check tcp {\n initial maybe\n}", "write healthy, unhealthy or check", ":2"},
	{"health_check tcp {\n sequential yes\n}", "wrong argument count", ":2"},
	{"health_check tcp {\n interval 1s\n method GET\n}", `unrecognized option of health_check tcp: method: there are proxy_protocol, interval`, ":3"},
	{"health_check tcp 80", "wrong argument count", ":1"},
	{"health_check tcp {\n proxy_protocol v3\n}", "write v1 or v2", ":2"},
	{"health_check tls a b", "wrong argument count", ":1"},
	{"health_check tls {\n ca\n}", "wrong argument count", ":2"},
	{"health_check tls {\n sni x\n}", `unrecognized option of health_check tls: sni`, ":2"},
	{"health_check grpc a b", "wrong argument count", ":1"},
	{"health_check grpc {\n service x\n}", `unrecognized option of health_check grpc: service`, ":2"},
	{"health_check dns", "takes one name", ":1"},
	{"health_check dns a {\n resolver 10.0.0.1\n}", "write ip:port", ":2"},
	{"health_check dns a {\n server 10.0.0.1\n}", `unrecognized option of health_check dns: server`, ":2"},
	{"health_check http up", `write a path and query alone, /up for example`, ":1"},
	{"health_check http http://a/up", "the host belongs in the host option", ":1"},
	{"health_check http /a /b", "wrong argument count", ":1"},
	{"health_check http {\n uri /\n}", `unrecognized option of health_check http: uri: there are method, host`, ":2"},
	{"health_check http {\n method \"A B\"\n}", "is not a method", ":2"},
	{"health_check http {\n header X\n}", "wrong argument count", ":2"},
	{"health_check http {\n header \"a b\" c\n}", "is not a field name", ":2"},
	{"health_check http {\n scheme ftp\n}", "write http, https or h2c", ":2"},
	{"health_check http {\n upstream a\n}", "write host:port", ":2"},
	{"health_check http {\n expect_status\n}", "wrong argument count", ":2"},
	{"health_check http {\n expect_status ok\n}", "write codes and classes", ":2"},
	{"health_check http {\n expect_status 42\n}", "42 is neither a status code", ":2"},
	{"health_check http {\n expect_body (\n}", "expect_body: error parsing regexp", ":2"},
	{"health_check http {\n expect_header A b c\n}", "wrong argument count", ":2"},
	{"health_check http {\n\n expect \"{rp.status_code} ==\"\n}", "expect: compiling CEL program", ":3"},
	{"health_check http {\n expect \"'text'\"\n}", "return type of bool", ":2"},
	{"health_check http {\n expect true\n expect false\n}", "combine the expressions", ":3"},
	{"health_check http {\n expect\n}", "wrong argument count", ":2"},
	{"health_check http {\n max_body none\n}", "write a size", ":2"},
	{"health_check http {\n follow_redirects 3\n}", "wrong argument count", ":2"},
}

func TestCaddyfileErrors(t *testing.T) {
	for _, tc := range badCaddyfiles {
		_, err := adapt(tc.input)
		if err == nil || !strings.Contains(err.Error(), tc.want) || !strings.Contains(err.Error(), "at Caddyfile"+tc.line) {
			t.Errorf("%s\nerror %v\nwant  … %s … at Caddyfile%s", tc.input, err, tc.want, tc.line)
		}
	}
}

// The dispenser that is handed in is left where the block ends, so that its owner reads on.
func TestCaddyfileReadsItsOwnBlockOnly(t *testing.T) {
	d := caddyfile.NewTestDispenser("lb_proxy a {\n health_check http /up {\n interval 5s\n method HEAD\n }\n health_check tcp\n lb_policy first\n}")
	d.Next()
	d.NextArg()
	var seen []string
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		seen = append(seen, d.Val())
		if d.Val() == "health_check" {
			if err := new(Config).UnmarshalCaddyfile(d); err != nil {
				t.Fatal(err)
			}
			continue
		}
		d.RemainingArgs()
	}
	if strings.Join(seen, " ") != "health_check health_check lb_policy" {
		t.Errorf("read %q", seen)
	}
}

func FuzzHealthCheckCaddyfile(f *testing.F) {
	f.Add("health_check tcp {\n interval 5s\n jitter 10%\n}")
	f.Add("health_check http /up {\n expect_status 2xx\n header A b\n}")
	f.Add("health_check dns a.test {\n resolver 127.0.0.1:53\n initial check\n}")
	f.Fuzz(func(t *testing.T, input string) {
		out, err := adapt(input)
		if err != nil {
			return
		}
		// What was accepted can be written as JSON, read again, and is the same then.
		var c Config
		if err := json.Unmarshal([]byte(out), &c); err != nil {
			t.Fatalf("%s: %v", out, err)
		}
		again, err := json.Marshal(&c)
		if err != nil || !bytes.Equal(again, []byte(out)) {
			t.Fatalf("%s became %s: %v", out, again, err)
		}
		c.setDefaults()
		if err := c.validate(); err != nil {
			t.Fatalf("%s was accepted, but does not validate: %v", input, err)
		}
	})
}
