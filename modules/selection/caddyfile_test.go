package selection

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	_ "github.com/caddyserver/caddy/v2/modules/standard"

	"github.com/caddylb/caddy-lb/lb"
)

// unmarshal parses what follows lb_policy.
func unmarshal(text string) (json.RawMessage, error) {
	d := caddyfile.NewTestDispenser("lb_policy " + text)
	d.Next()
	d.NextArg()
	name := d.Val()
	policy, err := UnmarshalPolicy(d)
	if err != nil {
		return nil, err
	}
	return EncodePolicy(policy, name), nil
}

// stockPolicies are the policies as a Caddyfile for reverse_proxy has them.
var stockPolicies = []string{
	"random",
	"random_choose 2",
	"random_choose 5",
	"first",
	"round_robin",
	"weighted_round_robin 1",
	"weighted_round_robin 5 0 1",
	"least_conn",
	"ip_hash",
	"client_ip_hash",
	"uri_hash",
	"query user",
	"query user {\n fallback round_robin\n}",
	"header X-User",
	"header X-User {\n fallback random_choose 3\n}",
	"header Host {\n fallback weighted_round_robin 1 2\n}",
	"cookie",
	"cookie lb {\n fallback random\n}",
	"cookie srv",
	"cookie srv s3cret",
	"cookie srv s3cret {\n fallback least_conn\n max_age 1h30m\n}",
	"cookie {\n max_age 1d\n}",
	"header X-User {\n fallback query user {\n  fallback cookie srv\n }\n}",
}

// TestStockCaddyfilesAdaptToTheStockObject compares each with what Caddy makes of it.
func TestStockCaddyfilesAdaptToTheStockObject(t *testing.T) {
	for _, text := range stockPolicies {
		adapter := caddyconfig.GetAdapter("caddyfile")
		site := ":80 {\n reverse_proxy 127.0.0.1:9001 {\n  lb_policy " + text + "\n }\n}\n"
		adapted, _, err := adapter.Adapt([]byte(site), map[string]any{"filename": "Caddyfile"})
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		got, err := unmarshal(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if want := `"selection_policy":` + string(got) + "}"; !strings.Contains(string(adapted), want) {
			t.Errorf("%s: %s\nis not in %s", text, got, adapted)
		}
	}
}

func TestCaddyfileToJSON(t *testing.T) {
	for text, want := range map[string]string{
		"least_request":   `{"policy":"least_request"}`,
		"least_request 3": `{"choices":3,"policy":"least_request"}`,
		"least_latency":   `{"policy":"least_latency"}`,
		"consistent":      `{"policy":"consistent"}`,
		"ketama":          `{"policy":"ketama"}`,
		"consistent {\n points 40\n ketama_compat nginx\n hash_key {http.request.host}\n}": `{"hash_key":"{http.request.host}",` +
			`"ketama_compat":"nginx","points":40,"policy":"consistent"}`,
		"cookie {\n secret 0123456789abcdef\n format signed\n secure on\n same_site none\n path /app\n domain example.com\n http_only off\n partitioned\n}": `{` +
			`"domain":"example.com","format":"signed","http_only":false,"partitioned":true,"path":"/app","policy":"cookie","same_site":"none",` +
			`"secret":"0123456789abcdef","secure":true}`,
		"cookie srv {\n format plain\n secure off\n http_only on\n}": `{"format":"plain","http_only":true,"name":"srv","policy":"cookie","secure":false}`,
		"sticky_header X-Backend":                                    `{"field":"X-Backend","policy":"sticky_header"}`,
		"sticky_header X-Backend {\n secret {env.SECRET}\n format signed\n fallback first\n}": `{"fallback":{"policy":"first"},"field":"X-Backend",` +
			`"format":"signed","policy":"sticky_header","secret":"{env.SECRET}"}`,
		"fnv_hash {\n max_iterations 256\n}":                   `{"max_iterations":256,"policy":"fnv_hash"}`,
		"maglev {\n table_size 251\n balance_factor 1.25\n}":   `{"balance_factor":1.25,"policy":"maglev","table_size":251}`,
		"rendezvous {\n hash_key {client_ip}-{header.X-Id}\n}": `{"hash_key":"{http.vars.client_ip}-{http.request.header.X-Id}","policy":"rendezvous"}`,
	} {
		got, err := unmarshal(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
		} else if string(got) != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
}

// TestJSONLoads loads what each Caddyfile adapts to, and makes a pool of it.
func TestJSONLoads(t *testing.T) {
	texts := append([]string{
		"least_request 3", "least_latency", "ketama {\n points 10\n}", "consistent {\n ketama_compat pingora\n}",
		"cookie srv 0123456789abcdef {\n format signed\n}", "cookie {\n format plain\n path /a\n partitioned\n}", "sticky_header X-B",
		"sticky_header X-B {\n secret 0123456789abcdef\n format signed\n fallback first\n}", "fnv_hash {\n hash_key {uri}\n}", "maglev {\n table_size 13\n}", "rendezvous {\n balance_factor 2\n}",
	}, stockPolicies...)
	for _, text := range texts {
		raw, err := unmarshal(text)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		ctx, cancel := caddy.NewContext(caddy.Context{Context: t.Context()})
		t.Cleanup(cancel)
		host := struct {
			Raw json.RawMessage `caddy:"namespace=http.lb_proxy.selection inline_key=policy"`
		}{raw}
		val, err := ctx.LoadModule(&host, "Raw")
		if err != nil {
			t.Errorf("%s: %v", raw, err)
			continue
		}
		b := newBed(t, val.(lb.Policy), servers(3)...)
		if b.choose(request(t, "http://example.com/?user=a")) == nil {
			t.Errorf("%s picks nothing", raw)
		}
	}
}

func TestCaddyfileErrors(t *testing.T) {
	for text, want := range map[string]string{
		"nothing":                          "there is no selection policy 'nothing': write one of client_ip_hash, consistent,",
		"random 2":                         "unexpected argument '2': write 'random'",
		"first {\n x\n}":                   "unrecognized option of first: x: it takes none",
		"random_choose":                    "random_choose lacks its value: write 'random_choose <n>'",
		"random_choose 1":                  "'1' is not a whole number of at least 2",
		"random_choose x":                  "'x' is not a whole number of at least 2",
		"random_choose 2 3":                "unexpected argument '3'",
		"least_request 1":                  "write 'least_request [<n>]'",
		"least_request 2 {\n x\n}":         "least_request: x: it takes none",
		"weighted_round_robin":             "lacks its weights",
		"weighted_round_robin a":           "invalid weight value 'a'",
		"weighted_round_robin -1":          "write a number from 0 to 1048576",
		"weighted_round_robin 1 {\n x\n}":  "weighted_round_robin: x: it takes none",
		"query":                            "write 'query <key>'",
		"header X Y":                       "unexpected argument 'Y'",
		"header X {\n fall\n}":             "there is only fallback",
		"header X {\n fallback\n}":         "fallback lacks its policy",
		"header X {\n fallback nothing\n}": "there is no selection policy 'nothing'",
		"query x {\n fallback first\n fallback first\n}": "fallback is set already",
		"cookie a b c":                                          "unexpected argument 'c'",
		"cookie {\n max_age 0s\n}":                              "invalid max_age '0s'",
		"cookie {\n max_age x\n}":                               "write a duration above 0",
		"cookie {\n max_age 1h\n max_age 2h\n}":                 "max_age is set already",
		"cookie {\n x\n}":                                       "unrecognized option of cookie: x: there are fallback, max_age",
		"cookie \"a b\"":                                        "'a b' cannot be the name of a cookie",
		"cookie a b {\n secret c\n}":                            "secret is set already",
		"cookie {\n secret \"\"\n}":                             "secret is empty",
		"cookie {\n format x\n}":                                "unknown format 'x': write hmac, plain or signed",
		"cookie {\n format plain\n format hmac\n}":              "format is set already",
		"cookie a b {\n format plain\n}":                        "format plain makes no use of the secret",
		"cookie {\n format signed\n}":                           "needs a secret of at least 16 characters, this one has 0",
		"cookie a 0123456789abcde {\n format signed\n}":         "this one has 15",
		"cookie {\n secure yes\n}":                              "invalid secure 'yes': write 'secure on' or 'secure off'",
		"cookie {\n secure\n}":                                  "secure lacks its value: write 'secure on|off'",
		"cookie {\n secure on\n secure on\n}":                   "secure is set already",
		"cookie {\n http_only on off\n}":                        "unexpected argument 'off'",
		"cookie {\n same_site x\n}":                             "unknown same_site 'x': write lax, strict or none",
		"cookie {\n same_site none\n secure off\n}":             "browsers drop cookies with same_site none that are not secure",
		"cookie {\n secure off\n partitioned\n}":                "browsers drop partitioned cookies that are not secure",
		"cookie {\n partitioned yes\n}":                         "unexpected argument 'yes'",
		"cookie {\n partitioned\n partitioned\n}":               "partitioned is set already",
		"cookie {\n path app\n}":                                "path 'app' does not begin with /: write '/app'",
		"cookie {\n path \"/a;b\"\n}":                           "path '/a;b' cannot be that of a cookie",
		"cookie {\n domain \"a b\"\n}":                          "domain 'a b' cannot be that of a cookie",
		"cookie __Secure-lb {\n secure off\n}":                  "browsers drop a cookie named __Secure-lb that is not secure",
		"cookie __host-lb {\n path /app\n}":                     "browsers drop a cookie named __host-lb unless",
		"sticky_header":                                         "sticky_header lacks its value: write 'sticky_header <field>'",
		"sticky_header \"X Y\"":                                 "'X Y' cannot be the name of a header field",
		"sticky_header host":                                    "host has a meaning of its own",
		"sticky_header X {\n path /\n}":                         "unrecognized option of sticky_header: path: there are secret, format, fallback",
		"sticky_header X {\n format signed\n}":                  "needs a secret of at least 16 characters",
		"consistent x":                                          "unexpected argument 'x'",
		"consistent {\n points 0\n}":                            "write 'points <n>'",
		"consistent {\n ketama_compat envoy\n}":                 "write pingora or nginx",
		"consistent {\n x\n}":                                   "unrecognized option of the policy: x: there are points, ketama_compat",
		"maglev {\n table_size 100\n}":                          "table_size 100 is not a prime: write 97 or 101",
		"maglev {\n table_size\n}":                              "table_size lacks its value",
		"fnv_hash {\n max_iterations -1\n}":                     "not a whole number of at least 1",
		"fnv_hash {\n max_iterations 1\n max_iterations 1\n}":   "max_iterations is there already, at line 2",
		"rendezvous {\n balance_factor 1\n}":                    "invalid balance_factor '1': write a number above 1",
		"rendezvous {\n balance_factor NaN\n}":                  "invalid balance_factor 'NaN'",
		"rendezvous {\n balance_factor 2\n balance_factor 2\n}": "balance_factor is there already, at line 2",
		"rendezvous {\n hash_key \"\"\n}":                       "hash_key is empty",
		"rendezvous {\n hash_key {path} x\n}":                   "unexpected argument 'x': write 'hash_key <placeholder>'",
		"rendezvous {\n hash_key x\n}":                          "the same for every request",
		"rendezvous {\n hash_key {uri}\n hash_key {uri}\n}":     "hash_key is there already, at line 2",
	} {
		_, err := unmarshal(text)
		if err == nil {
			t.Errorf("%s: no error", text)
			continue
		}
		if !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "Testfile:") {
			t.Errorf("%s: error %q, want %q and file and line", text, err, want)
		}
	}
}

func TestValidation(t *testing.T) {
	for want, policy := range map[string]caddy.Validator{
		"at least 2 are needed": &RandomChoose{Choose: 1},
		"choices is 1":          &LeastRequest{Choices: 1},
		"requires at least one upstream with a positive weight": &WeightedRoundRobin{Weights: []int{0, 0}},
		"weight of an upstream cannot be negative":              &WeightedRoundRobin{Weights: []int{1, -1}},
		"balance_factor is 0.5":                                 &Rendezvous{Hashing{BalanceFactor: 0.5}},
		"max_iterations is -1":                                  &FNVHash{Hashing{MaxIterations: -1}},
		"points is -1":                                          &Consistent{Points: -1},
		"ketama_compat is 'envoy'":                              &Ketama{Consistent{KetamaCompat: "envoy"}},
		"cannot be the name":                                    &Cookie{Name: "a b"},
		"sticky_header: '' cannot be the name":                  &StickyHeader{},
		"cookie: unknown format":                                &Cookie{Stickiness: Stickiness{Format: "x"}},
		"max_age is -1s":                                        &Cookie{Name: "lb", MaxAge: caddy.Duration(-1e9)},
	} {
		if err := policy.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}

// TestHashOptionsAreSetFromOutside parses options as a pool does that has them beside lb_policy.
func TestHashOptionsAreSetFromOutside(t *testing.T) {
	raw, err := unmarshal("maglev")
	if err != nil {
		t.Fatal(err)
	}
	var m Maglev
	if err := json.Unmarshal(raw, &struct{ *Maglev }{&m}); err != nil {
		t.Fatal(err)
	}
	d := caddyfile.NewTestDispenser("hash_key {client_ip}\nbalance_factor 1.5\ninterval 5s")
	d.Next()
	for _, want := range []bool{true, true, false} {
		option := d.Val()
		known, err := m.HashOptions().UnmarshalOption(d)
		if err != nil || known != want {
			t.Errorf("%s: known %v, error %v", option, known, err)
		}
		d.Next()
	}
	if m.HashKey != "{http.vars.client_ip}" || m.BalanceFactor != 1.5 {
		t.Errorf("options %+v", m.Hashing)
	}
}
