package placeholder

import (
	"strings"
	"testing"
)

func TestDoubt(t *testing.T) {
	for text, want := range map[string]string{
		"{http.request.headr.X-User}":                   "did you mean {http.request.header.X-User}?",
		"{http.reqest.cookie.sid}":                      "did you mean {http.request.cookie.sid}?",
		"{http.request.urri}":                           "did you mean {http.request.uri}?",
		"{clientip}":                                    "did you mean {client_ip}?",
		"{http.var.tenant}":                             "did you mean {http.vars.tenant}?",
		"{nonsense}":                                    "it has {http.request.header.*}",
		"{http.request.header.}":                        "Caddy has no such placeholder",
		"{headr.X-User}":                                "did you mean {header.X-User}?",
		"{http.request.host}-{nonsense}":                "Caddy has no placeholder {nonsense}",
		"{env.NODE}":                                    "the same value for all requests",
		"{env.NODE}{system.os}":                         "the same value for all requests",
		"{env.NODE}{http.request.host}":                 "",
		"{http.request.header.X-User}":                  "",
		"{http.request.uri.path}":                       "",
		"{http.request.tls.client.fingerprint}":         "",
		"{http.vars.client_ip}":                         "",
		"{http.regexp.id.1}":                            "",
		"{http.request.uri.query.id}\\{x\\}":            "",
		"{http.auth.user.id}/{http.request.uri.path.0}": "",
		"{time.now.unix}":                               "",
	} {
		got := Doubt(text)
		if want == "" && got != "" || !strings.Contains(got, want) {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
}
