package caddytest

import (
	"strings"
	"testing"
)

// In JSON, too, what cannot mean anything fails at load, with its name.
func TestConfigurationThatCannotMeanAnything(t *testing.T) {
	b := NewBackends(t, "A", "B", "C")
	s := Start(t, site(three), addresses(b...))
	adapted, _, err := adapt(s.expand(site(three)))
	if err != nil {
		t.Fatal(err)
	}
	const handler, pool = `"pool":"p"`, `"upstreams":[`
	for _, c := range []struct{ at, add, want string }{
		{handler, `"health_checks":{"outlier_detection":{}}`, "cannot have health_checks of its own"},
		{handler, `"load_balancing":{"queue":{"size":5}}`, "cannot have queue of its own"},
		{handler, `"load_balancing":{"selection_policy":{"policy":"random"}}`, "cannot have selection_policy of its own"},
		{handler, `"load_balancing":{"slow_start":{"duration":"30s"}}`, "cannot have slow_start of its own"},
		{pool, `"load_balancing":{"queue":{"size":0}}`, "a queue needs room for at least one request"},
		{pool, `"load_balancing":{"limits":{"requests":-1}}`, "limits cannot be negative"},
		{pool, `"load_balancing":{"panic_threshold":101}`, "panic_threshold 101 is not within 0 and 100"},
		{pool, `"load_balancing":{"overprovisioning":0.5}`, "overprovisioning 0.5 is below 1"},
		{pool, `"load_balancing":{"slow_start":{"aggression":2}}`, "slow_start needs a duration above 0"},
		{pool, `"load_balancing":{"adaptive_concurrency":{"min":9,"max":3}}`, "min is not above max"},
		{pool, `"load_balancing":{"adaptive_concurrency":{"tolerance":0.5}}`, "tolerance 0.5 is below 1"},
		{pool, `"health_checks":{"outlier_detection":{"max_ejection_percent":101}}`, "max_ejection_percent 101 is not within 0 and 100"},
	} {
		config := strings.Replace(string(adapted), c.at, c.add+","+c.at, 1)
		if config == string(adapted) {
			t.Fatalf("%s: nothing is edited", c.add)
		}
		if err := s.ReloadJSON(config); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want an error with %q", c.add, err, c.want)
		}
	}
	if err := s.ReloadJSON(strings.Replace(string(adapted), handler, `"load_balancing":{"retries":2},`+handler, 1)); err != nil {
		t.Errorf("retries beside a pool: %v", err)
	}
}
