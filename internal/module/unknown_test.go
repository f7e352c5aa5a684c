package module

import (
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

func TestClosest(t *testing.T) {
	names := []string{"lb_policy", "lb_retries", "lb_try_duration", "queue", "to", "weight", "health_uri", "health_port"}
	for word, want := range map[string]string{
		"lb_policies": "lb_policy",
		"lb_polciy":   "lb_policy",
		"queu":        "queue",
		"weigth":      "weight",
		"Weight":      "weight",
		"health_url":  "health_uri",
		"server":      "",
		"sticky":      "",
		"x":           "",
		"":            "",
	} {
		if got := Closest(word, names...); got != want {
			t.Errorf("%q is closest to %q, want %q", word, got, want)
		}
	}
}

func TestEditDistance(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{
		{"", "", 0},
		{"a", "", 1},
		{"", "ab", 2},
		{"abc", "abc", 0},
		{"abc", "acb", 1},
		{"abcd", "badc", 2},
		{"kitten", "sitting", 3},
		{"timeout", "timout", 1},
		{"far", "away from it", 9},
	} {
		if got := editDistance(c.a, c.b, 9); got != c.want {
			t.Errorf("from %q to %q: %d, want %d", c.a, c.b, got, c.want)
		}
		if got := editDistance(c.b, c.a, 9); got != c.want {
			t.Errorf("from %q to %q: %d, want %d", c.b, c.a, got, c.want)
		}
	}
}

func TestUnknownNamesFileAndLine(t *testing.T) {
	d := caddyfile.NewTestDispenser("block {\n  wieght 3\n}")
	d.Next()
	d.NextBlock(0)
	err := Unknown(d, "block", "weight", "priority")
	if err == nil || !strings.Contains(err.Error(), "did you mean weight?, at Testfile:2") {
		t.Errorf("the error is %v", err)
	}
}

func TestOnceNamesBothLines(t *testing.T) {
	d := caddyfile.NewTestDispenser("block {\n  weight 3\n  priority 1\n  weight 4\n}")
	d.Next()
	var once Once
	var err error
	for d.NextBlock(0) && err == nil {
		err = once.Note(d)
		d.RemainingArgs()
	}
	if err == nil || !strings.Contains(err.Error(), "weight is there already, at line 2") || !strings.Contains(err.Error(), "Testfile:4") {
		t.Errorf("the error is %v", err)
	}
}
