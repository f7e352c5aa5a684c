package filter

import (
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
)

func TestRateLimitFromCaddyfile(t *testing.T) {
	for text, want := range map[string]RateLimit{
		"rate_limit {client_ip} 100/s burst 20": {
			Key: "{http.vars.client_ip}", Events: 100, Window: caddy.Duration(time.Second), Burst: 20,
		},
		"rate_limit {header.X-Key}/{host} 5/1m30s {\n algorithm sliding_window\n exact\n max_keys 5000\n name api\n local\n dry_run\n}": {
			Key: "{http.request.header.X-Key}/{http.request.host}", Events: 5, Window: caddy.Duration(90 * time.Second), Algorithm: slidingWindow,
			MaxKeys: 5000, Name: "api", Local: true, DryRun: true,
		},
		"rate_limit {client_ip} 1/d {\n burst 3\n}": {Key: "{http.vars.client_ip}", Events: 1, Window: caddy.Duration(24 * time.Hour), Burst: 3},
		"rate_limit {client_ip} 1/h {\n sketch\n}":  {Key: "{http.vars.client_ip}", Events: 1, Window: caddy.Duration(time.Hour), Sketch: true},
	} {
		f := new(RateLimit)
		if err := parse(f, text); err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		f.key, want.key = limitKey{}, limitKey{}
		if f.Key != want.Key || f.Events != want.Events || f.Window != want.Window || f.Burst != want.Burst || f.Algorithm != want.Algorithm ||
			f.MaxKeys != want.MaxKeys || f.Name != want.Name || f.Local != want.Local || f.DryRun != want.DryRun || f.Sketch != want.Sketch {
			t.Errorf("%s: %+v", text, f)
		}
	}
}

func TestRateLimitErrorsNameTheLine(t *testing.T) {
	for text, want := range map[string]string{
		"rate_limit":                                                            "the key is missing",
		"rate_limit all 1/s":                                                    "the key 'all' is the same for every request: write a placeholder, such as {client_ip}",
		"rate_limit {client_ip 1/s":                                             "opened and not closed",
		"rate_limit {client_ip}":                                                "the rate is missing",
		"rate_limit {client_ip} 0/s":                                            "lets nothing through",
		"rate_limit {client_ip} 100":                                            "'100' is no rate: write a number of requests and a time, such as 10/s",
		"rate_limit {client_ip} -1/s":                                           "'-1' is no whole number",
		"rate_limit {client_ip} x/s":                                            "'x' is no whole number",
		"rate_limit {client_ip} 1/fortnight":                                    "'fortnight' is no time above 0",
		"rate_limit {client_ip} 1/-1s":                                          "'-1s' is no time above 0",
		"rate_limit {client_ip} 1/400d":                                         "it can be from 1ms to 366d",
		"rate_limit {client_ip} 99999999999999999999/s":                         "is no whole number",
		"rate_limit {client_ip} 2000000000/d":                                   "too fast to be counted",
		"rate_limit {client_ip} 1/s 20":                                         "unexpected argument '20': write 'rate_limit <key>",
		"rate_limit {client_ip} 1/s burst":                                      "burst lacks its value",
		"rate_limit {client_ip} 1/s burst 0":                                    "'0' is no whole number above 0",
		"rate_limit {client_ip} 1/s burst 2 more":                               "unexpected argument 'more'",
		"rate_limit {client_ip} 1/d burst 1000000":                              "takes more than a year to come back",
		"rate_limit {client_ip} 1/s {\n cost 2\n}":                              "there is no option 'cost' of the filter rate_limit: write algorithm",
		"rate_limit {client_ip} 1/s {\n algorithm x\n}":                         "there is no algorithm 'x': write token_bucket or sliding_window",
		"rate_limit {client_ip} 1/s {\n algorithm\n}":                           "algorithm lacks its value",
		"rate_limit {client_ip} 1/s {\n exact\n sketch\n}":                      "leave one of both out",
		"rate_limit {client_ip} 1/s {\n sketch on\n}":                           "unexpected argument 'on'",
		"rate_limit {client_ip} 1/s {\n sketch\n sketch\n}":                     "sketch is set already",
		"rate_limit {client_ip} 1/s burst 2 {\n burst 3\n}":                     "burst is set already",
		"rate_limit {client_ip} 1/s {\n max_keys 0\n}":                          "'0' is no whole number above 0",
		"rate_limit {client_ip} 1/s {\n max_keys 2000000000\n}":                 "max_keys is 2000000000",
		"rate_limit {client_ip} 1/s {\n required\n}":                            "required is about a storage",
		"rate_limit {client_ip} 1/s {\n storage\n}":                             "storage lacks its URL",
		"rate_limit {client_ip} 1/s {\n storage memcached://x\n}":               "there are no counters for 'memcached://x'",
		"rate_limit {client_ip} 1/s {\n storage silent://x\n}":                  "does not count",
		"rate_limit {client_ip} 1/s {\n storage fake://x\n local\n}":            "local counts in this instance alone",
		"rate_limit {client_ip} 1/s {\n storage fake://x\n storage fake://y\n}": "storage is set already",
		"rate_limit {client_ip} 1/s {\n algorithm token_bucket\n sketch\n}":     "a sketch counts windows",
		"rate_limit {client_ip} 1/s burst 2 {\n algorithm sliding_window\n}":    "a sliding window has no burst",
		"max_inflight":                                "the key is missing",
		"max_inflight all 1":                          "is the same for every request",
		"max_inflight {client_ip}":                    "write 'max_inflight <key> <n>'",
		"max_inflight {client_ip} 0":                  "'0' is no whole number above 0",
		"max_inflight {client_ip} 1 2":                "unexpected argument '2'",
		"max_inflight {client_ip} 1 {\n wait 3s\n}":   "there is no option 'wait' of the filter max_inflight: write name <name> or dry_run",
		"max_inflight {client_ip} 1 {\n name a b\n}":  "unexpected argument 'b'",
		"max_inflight {client_ip} 1 {\n dry_run 1\n}": "unexpected argument '1'",
	} {
		var err error
		if text[0] == 'm' {
			err = parse(new(MaxInflight), text)
		} else {
			err = parse(new(RateLimit), text)
		}
		wantError(t, err, text, want)
	}
}

func TestRate(t *testing.T) {
	for text, want := range map[string]requestRate{
		"1/s":        {1, time.Second},
		"100/m":      {100, time.Minute},
		"7/hour":     {7, time.Hour},
		"3/d":        {3, 24 * time.Hour},
		"5/10s":      {5, 10 * time.Second},
		"5/1m30s":    {5, 90 * time.Second},
		"5/1d":       {5, 24 * time.Hour},
		"1000/500ms": {1000, 500 * time.Millisecond},
	} {
		if got, err := parseRate(text); err != nil || got != want {
			t.Errorf("%s: %+v, %v", text, got, err)
		}
	}
}

// FuzzRate: whatever is written is refused, or is a rate that is written as it is read.
func FuzzRate(f *testing.F) {
	for _, text := range []string{"1/s", "0/s", "100/1m30s", "/", "1/", "-1/s", "1/-1s", "9223372036854775808/h", "1/0.5d", "1/1s/1s"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		r, err := parseRate(text)
		if err != nil {
			if r != (requestRate{}) {
				t.Errorf("%q: %+v beside %v", text, r, err)
			}
			return
		}
		if r.events < 1 || r.window < 1 {
			t.Errorf("%q: %+v", text, r)
		}
		if again, err := parseRate(r.String()); err != nil || again != r {
			t.Errorf("%q is %+v, which is written %s, which is %+v, %v", text, r, r, again, err)
		}
	})
}
