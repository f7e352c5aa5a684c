package lbproxy

import (
	"fmt"
	"strings"
	"testing"
)

// idleWarnings counts the warnings that outlier detection can eject nobody.
func idleWarnings() int {
	logged.Lock()
	defer logged.Unlock()
	return strings.Count(logged.text.String(), "will eject no backend")
}

// Outlier detection that can eject nobody is warned of where another configuration helps.
func TestIdleDetectionIsWarnedOf(t *testing.T) {
	for name, c := range map[string]struct {
		backends, options string
		want              int
	}{
		"one backend":             {upstreams("127.0.0.1:1"), `{}`, 0},
		"one that may be ejected": {upstreams("127.0.0.1:1"), `{"always_eject_one":true}`, 0},
		"two":                     {upstreams("127.0.0.1:1", "127.0.0.1:2"), `{}`, 1},
		"one of two":              {upstreams("127.0.0.1:1", "127.0.0.1:2"), `{"always_eject_one":true}`, 0},
	} {
		t.Run(name, func(t *testing.T) {
			startProxy(t, c.backends+`,"health_checks":{"outlier_detection":`+c.options+`}`)
			if got := idleWarnings(); got != c.want {
				t.Errorf("%d warnings, want %d", got, c.want)
			}
		})
	}
}

// A source with many answers is no reason for as many warnings.
func TestIdleDetectionIsToldOncePerSource(t *testing.T) {
	p := startProxy(t, `"dynamic_upstreams":{"source":"test_by_request"},"health_checks":{"outlier_detection":{}}`)
	for i := range 5 {
		p.get("/", "X-To", fmt.Sprint("127.0.0.1:", 1+i), "X-To", "127.0.0.1:9")
	}
	if n := len(runningPools()); n < 2 {
		t.Fatalf("there are %d pools", n)
	}
	if got := idleWarnings(); got != 1 {
		t.Errorf("%d warnings, want 1", got)
	}
}
