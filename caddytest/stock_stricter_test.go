package caddytest

import (
	"strings"
	"testing"
)

// loads adapts and provisions a site with nothing but the given directive.
func loads(t *testing.T, proxy string) error {
	t.Helper()
	adapted, _, err := adapt(":80 {\n" + proxy + "}\n")
	if err != nil {
		return err
	}
	return validate(t, adapted)
}

// TestStricterThanStock is the configurations that load with reverse_proxy and could never have done what they say.
func TestStricterThanStock(t *testing.T) {
	for _, c := range []struct{ proxy, mend string }{
		{"reverse_proxy {\n}\n", "name at least one with 'to' or 'backend'"},
		{"reverse_proxy a:1 a:1\n", "list it once, with a larger weight"},
		{"reverse_proxy unix//x unix//x\n", "list it once, with a larger weight"},
		{"reverse_proxy a:0\n", "one number from 1 to 65535"},
		{"reverse_proxy unix/\n", "write host:port or unix//path"},
		{"reverse_proxy unix:/run/x.sock\n", "write unix//run/x.sock"},
		{"reverse_proxy a:1 {\n lb_retries -1\n}\n", "like 2"},
		{"reverse_proxy a:1 {\n health_uri /\n health_interval -1s\n}\n", "longer than 0"},
		{"reverse_proxy a:1 {\n health_uri /\n health_port 99999\n}\n", "from 1 to 65535"},
		{"reverse_proxy a:1 {\n health_uri /\n health_status 99\n}\n", "neither a status code nor the digit of a class"},
		{"reverse_proxy a:1 {\n health_uri /\n health_method \"G T\"\n}\n", "is not a method"},
		{"reverse_proxy a:1 {\n handle_response {\n copy_response 99\n }\n}\n", "write a number from 100 to 999"},
	} {
		if err := loads(t, c.proxy); err != nil {
			t.Errorf("%q fails with reverse_proxy, too: %v", c.proxy, err)
		}
		if err := loads(t, renameDirective(c.proxy)); err == nil || !strings.Contains(err.Error(), c.mend) {
			t.Errorf("%q, renamed: %v, want %q in it", c.proxy, err, c.mend)
		}
	}
}
