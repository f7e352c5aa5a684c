package healthcheck

import (
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
)

func TestProvisionFillsInDefaults(t *testing.T) {
	c := &Config{CheckRaw: []byte(`{"kind":"tcp"}`)}
	if err := c.Provision(newContext(t)); err != nil {
		t.Fatal(err)
	}
	if c.Kind() != "tcp" || c.Checker() == nil {
		t.Errorf("kind %q, checker %v", c.Kind(), c.Checker())
	}
	ten, one := caddy.Duration(10*time.Second), caddy.Duration(time.Second)
	if c.Interval != ten || c.IntervalUnhealthy != ten || c.Timeout != one {
		t.Errorf("interval %v and %v, timeout %v", c.Interval, c.IntervalUnhealthy, c.Timeout)
	}
	if c.ConsecutiveSuccess != 1 || c.ConsecutiveFailure != 1 || c.Jitter != 0.1 || c.Initial != InitialHealthy || c.Sequential {
		t.Errorf("%+v", c)
	}
}

func TestProvisionRefuses(t *testing.T) {
	for want, edit := range map[string]func(*Config){
		"no kind is given":                   func(c *Config) { c.CheckRaw = nil },
		`{"check": {"kind": "tcp"}}`:         func(c *Config) { c.CheckRaw = []byte(`{}`) },
		"unknown module":                     func(c *Config) { c.CheckRaw = []byte(`{"kind":"ping"}`) },
		"interval is -1ns":                   func(c *Config) { c.Interval = -1 },
		"interval_unhealthy is -1ns":         func(c *Config) { c.IntervalUnhealthy = -1 },
		"timeout is -1ns":                    func(c *Config) { c.Timeout = -1 },
		"consecutive_success is -1":          func(c *Config) { c.ConsecutiveSuccess = -1 },
		"consecutive_failure is -1":          func(c *Config) { c.ConsecutiveFailure = -1 },
		"port is 65536":                      func(c *Config) { c.Port = 65536 },
		"jitter is 1.5":                      func(c *Config) { c.Jitter = 1.5 },
		"has to be healthy, unhealthy or ch": func(c *Config) { c.Initial = "maybe" },
	} {
		c := &Config{CheckRaw: []byte(`{"kind":"tcp"}`)}
		edit(c)
		err := c.Provision(newContext(t))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want one with %q", err, want)
		}
	}
}

func TestTimeoutMayBeLongerThanTheInterval(t *testing.T) {
	c := &Config{CheckRaw: []byte(`{"kind":"tcp"}`), Interval: caddy.Duration(time.Second), Timeout: caddy.Duration(time.Minute)}
	if err := c.Provision(newContext(t)); err != nil {
		t.Error(err)
	}
}

func TestEqualDefinitionsHaveOneIdentity(t *testing.T) {
	key := func(raw string, edit func(*Config)) string {
		return configure(t, script(nil), func(c *Config) {
			c.CheckRaw = []byte(raw)
			if edit != nil {
				edit(c)
			}
		}).key
	}
	base := key(`{"kind":"http","uri":"/","method":"GET"}`, nil)
	if key(` { "method": "GET", "uri": "/", "kind": "http" } `, func(c *Config) { c.ConsecutiveSuccess = 1 }) != base {
		t.Error("order and space make a difference")
	}
	if key(`{"kind":"http","uri":"/x","method":"GET"}`, nil) == base {
		t.Error("another URI makes no difference")
	}
}
