package lbproxy

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/caddylb/caddy-lb/internal/placeholder"
	"github.com/caddylb/caddy-lb/modules/filter"
)

// mistake is something that is legal but surely not meant.
type mistake struct {
	option string // the option of a Caddyfile that it is about
	text   string // what comes of it, and the mend
}

// mistakes finds what of a pool's configuration is surely not meant. It has to be called before
// modules are loaded, which takes their configuration away.
func (c *PoolConfig) mistakes() []mistake {
	found := c.policyMistakes()
	if c.DynamicUpstreamsRaw == nil {
		found = append(found, c.backendMistakes()...)
	}
	return append(found, c.checkMistakes()...)
}

// backendMistakes is about the backends as a whole.
func (c *PoolConfig) backendMistakes() []mistake {
	var found []mistake
	every := func(f func(*Upstream) bool) bool {
		return len(c.Upstreams) > 0 && !slices.ContainsFunc(c.Upstreams, func(u *Upstream) bool { return !f(u) })
	}
	if every(func(u *Upstream) bool { return u.weight() == 0 }) {
		found = append(found, mistake{"backend", "every backend has weight 0, so every request gets 503: give one of them a weight above 0"})
	}
	if every(func(u *Upstream) bool { return u.Backup }) {
		found = append(found, mistake{"backend", "every backend is a backup: take 'backup' away from those that are to serve"})
	}
	bounded := slices.ContainsFunc(c.Upstreams, func(u *Upstream) bool { return u.MaxRequests > 0 })
	if l := c.LoadBalancing; l != nil && l.Queue != nil && !bounded && !c.boundsRequests() {
		found = append(found, mistake{"queue", "no request ever waits in the queue, since nothing bounds the requests: " +
			"add max_requests to the backends, 'limits { requests <n> }' or adaptive_concurrency"})
	}
	if len(c.Upstreams) > 1 && !c.watchesBackends() {
		found = append(found, mistake{"", fmt.Sprintf("there are %d backends, and one that fails is not taken out of service: "+
			"add health_check or 'resilience default'", len(c.Upstreams))})
	}
	return found
}

// boundsRequests reports whether the requests of all backends, or of each, are bounded.
func (c *PoolConfig) boundsRequests() bool {
	l := c.LoadBalancing
	if l.AdaptiveConcurrency != nil || l.Limits != nil && l.Limits.Requests > 0 {
		return true
	}
	p := c.passive()
	return p != nil && p.UnhealthyRequestCount > 0
}

// watchesBackends reports whether anything notices that a backend fails.
func (c *PoolConfig) watchesBackends() bool {
	hc := c.HealthChecks
	return c.CircuitBreakerRaw != nil || hc != nil && (len(hc.Checks) > 0 || hc.Active.IsEnabled() || hc.OutlierDetection != nil ||
		hc.Passive != nil && hc.Passive.FailDuration > 0)
}

// Checks whose timeout is this many times their interval pile up.
const maxTimeoutByInterval = 10

// checkMistakes is about the active checks.
func (c *PoolConfig) checkMistakes() []mistake {
	if c.HealthChecks == nil {
		return nil
	}
	var found []mistake
	consider := func(option string, interval, timeout time.Duration) {
		if timeout >= maxTimeoutByInterval*interval {
			found = append(found, mistake{option, fmt.Sprintf("a backend is checked every %s, but an answer is waited for up to %s: "+
				"write an interval that is not far below the timeout", interval, timeout)})
		}
	}
	for _, check := range c.HealthChecks.Checks {
		interval, timeout := check.Times()
		consider("health_check", interval, timeout)
	}
	if a := c.HealthChecks.Active; a.IsEnabled() {
		interval, timeout := a.Times()
		consider("health_interval", interval, timeout)
	}
	return found
}

// policyMistakes is about the selection policy.
func (c *PoolConfig) policyMistakes() []mistake {
	l := c.LoadBalancing
	if l == nil || len(l.SelectionPolicyRaw) == 0 {
		return nil
	}
	var policy map[string]any
	if json.Unmarshal(l.SelectionPolicyRaw, &policy) != nil {
		return nil // it fails when it is loaded
	}
	var found []mistake
	for at := policy; at != nil; at, _ = at["fallback"].(map[string]any) {
		key, _ := at["hash_key"].(string)
		if doubt := placeholder.Doubt(key); doubt != "" {
			found = append(found, mistake{"hash_key", fmt.Sprintf("hash_key %s: %s", key, doubt)})
		}
	}
	weights, _ := policy["weights"].([]any)
	if name := policy["policy"]; name == "weighted_round_robin" && c.DynamicUpstreamsRaw == nil && len(weights) != len(c.Upstreams) {
		text := fmt.Sprintf("weighted_round_robin has too many weights for %d backends", len(c.Upstreams))
		if len(weights) < len(c.Upstreams) {
			text = fmt.Sprintf("weighted_round_robin has no weight for %d of %d backends, which get no request", len(c.Upstreams)-len(weights), len(c.Upstreams))
		}
		found = append(found, mistake{"lb_policy", text + ": write one weight for each backend, in their order"})
	}
	return found
}

// filterDoubts are warnings about the configuration of a filter.
func filterDoubts(name string, instance any) []string {
	doubtful, ok := instance.(filter.Doubtful)
	if !ok {
		return nil
	}
	doubts := doubtful.Doubts()
	for i, doubt := range doubts {
		doubts[i] = "filter " + name + ": " + doubt
	}
	return doubts
}

// label says in messages which pool or handler it is: by its name, or by its backends.
func (c *PoolConfig) label(name string) string {
	switch n := len(c.Upstreams); {
	case name != "":
		return "pool " + name
	case n == 0:
		return "lb_proxy with dynamic backends"
	case n == 1:
		return "lb_proxy to " + c.Upstreams[0].Dial
	default:
		return fmt.Sprintf("lb_proxy to %s and %d more", c.Upstreams[0].Dial, n-1)
	}
}

// label is that of the handler: two handlers of one pool have the same.
func (h *Handler) label() string {
	if h.PoolName != "" {
		return "lb_proxy of pool " + h.PoolName
	}
	return h.PoolConfig.label("")
}

// messages are the mistakes as they are told.
func messages(label string, found []mistake) []string {
	texts := make([]string, len(found))
	for i, m := range found {
		texts[i] = label + ": " + m.text
	}
	return texts
}

func unusedText(name string) string {
	return fmt.Sprintf("pool %s is used by nothing: write 'pool %[1]s' into an lb_proxy, or take its lb_pool away", name)
}

// unreachableText is about a handler that comes after another one which takes every request.
func unreachableText(label, before string) string {
	if before == label {
		before = "one like it"
	}
	return fmt.Sprintf("%s can never be reached: %s stands before it and takes every request: give one of both a matcher, "+
		"or write the backends of both into one lb_proxy", label, before)
}

// namesPool reports whether text in a module's configuration is the name of a pool. A filter may
// send requests to it.
func namesPool(raw json.RawMessage, name string) bool {
	quoted, err := json.Marshal(name)
	return err == nil && strings.Contains(string(raw), string(quoted))
}

// poolAsAddressText is about an address that is the name of a pool.
func poolAsAddressText(name string) string {
	return fmt.Sprintf("the address %s is a host, and there is a pool of that name: write 'pool %[1]s' for the pool, or %[1]s:80 for the host", name)
}
