package lbproxy

import (
	"strings"
	"testing"
)

// Every option of single requests means in lb_proxy what it means in reverse_proxy.
func TestRequestOptionsAdaptAlike(t *testing.T) {
	for _, options := range []string{
		"lb_retries 3\nlb_try_duration 5s\nlb_try_interval 100ms",
		"lb_retry_match method GET POST\nlb_retry_match {\n path /a*\n expression `{rp.status_code} in [502, 503]`\n}",
		"flush_interval -1\nstream_timeout 1h\nstream_close_delay 5m\nstream_buffer_size 64KiB",
		"flush_interval 100ms\nstream_timeout 1000\nverbose_logs\nproxy_status_name edge",
		"request_buffers 4MB\nresponse_buffers unlimited",
		"trusted_proxies private_ranges 192.0.2.1 2001:db8::/32",
		"header_up X-A b\nheader_up +X-B {host}\nheader_up -X-C\nheader_up X-D ^a(.*)$ b$1\nheader_up Host {upstream_hostport}\nheader_up >X-E f\nheader_up ?X-F g",
		"header_down -Server\nheader_down +X-A {rp.status_code}\nheader_down Location ^http: https:\nheader_down X-Y",
		"method GET\nrewrite /new{uri}",
		"@a status 404 5xx\n@b {\n status 2xx\n header X-A b*\n}\n@c header X-Only\nreplace_status @a 503\nreplace_status 299\nhandle_response {\n respond last\n}\nhandle_response @b {\n header X-C d\n redir {rp.header.Location}\n}\nhandle_response @c {\n}",
	} {
		block := " 10.0.0.1:80 {\n" + options + "\n}\n}"
		want, err := adapt(t, ":80 {\nreverse_proxy"+block)
		refused := err != nil
		got, err := adapt(t, ":80 {\nlb_proxy"+block)
		if refused != (err != nil) {
			t.Errorf("%s\nis refused: %v by reverse_proxy, %v here", options, refused, err)
			continue
		}
		if want = strings.ReplaceAll(want, `"handler":"reverse_proxy"`, `"handler":"lb_proxy"`); got != want {
			t.Errorf("%s\nadapted to\n%s\nwant\n%s", options, got, want)
		}
	}
}

func TestBadRequestOptions(t *testing.T) {
	for options, mend := range map[string]string{
		"lb_retries":                        "wrong argument count",
		"lb_retries many":                   "like 2",
		"lb_retries -1":                     "like 2",
		"lb_try_duration soon":              "like 5s",
		"lb_try_interval":                   "wrong argument count",
		"lb_retry_match no_such":            "lb_retry_match",
		"flush_interval often":              "like 500ms",
		"request_buffers much":              "like 4KiB, or unlimited",
		"response_buffers 1KB 2KB":          "wrong argument count",
		"verbose_logs\nverbose_logs":        "verbose_logs is there already, at line 3",
		"method GET POST":                   "wrong argument count",
		"header_up":                         "wrong argument count",
		"header_down a b c d":               "wrong argument count",
		"replace_status":                    "like: replace_status @error 503",
		"replace_status a 200":              "starts with '@'",
		"replace_status @a 200":             "define it above",
		"replace_status 200 {\n respond\n}": "write handle_response",
		"handle_response @a {\n}":           "define it above",
		"handle_response @a @b {\n}":        "only a single response matcher",
		"handle_response {\n nonsense\n}":   "nonsense",
		"@a nonsense":                       "nonsense",
	} {
		_, err := adapt(t, ":80 {\nlb_proxy 10.0.0.1:80 {\n"+options+"\n}\n}")
		if err == nil {
			t.Errorf("%s: no error", options)
			continue
		}
		if !strings.Contains(err.Error(), mend) || !strings.Contains(err.Error(), "Caddyfile:") {
			t.Errorf("%s: %q names no place or not %q", options, err, mend)
		}
	}
}
