package lbproxy

import (
	"fmt"
	"maps"
	"slices"

	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// repeatable are the options of which each adds to the others.
var repeatable = []string{
	"to", "backend", "health_check", "unhealthy_status",
	"lb_retry_match", "retry_on", "mirror", "trusted_proxies", "header_up", "header_down",
	"filter", "request_filter", "upstream_request_filter", "response_filter", "handle_response", "replace_status",
}

// lastStands are the options of which reverse_proxy takes the last one without a word. Files that
// were written for it may have several.
var lastStands = []string{
	"transport", "lb_retries", "lb_try_duration", "lb_try_interval",
	"health_uri", "health_path", "health_upstream", "health_port", "health_headers", "health_method", "health_request_body",
	"health_interval", "health_timeout", "health_status", "health_body", "health_follow_redirects", "health_passes", "health_fails",
	"max_fails", "fail_duration", "unhealthy_request_count", "unhealthy_latency",
	"flush_interval", "request_buffers", "response_buffers", "stream_buffer_size", "stream_timeout", "stream_close_delay",
	"proxy_status_name", "method", "rewrite",
}

// note takes the option that d stands on, with its place. One that was there before is an error, a
// warning, or fine.
func (p *poolParser) note(d *caddyfile.Dispenser) error {
	option := d.Val()
	first, twice := p.places[option]
	switch {
	case !twice:
		p.places[option] = placeOf(d)
	case slices.Contains(repeatable, option):
	case slices.Contains(lastStands, option):
		p.warn(d, fmt.Sprintf("%s is there already, at line %d, and the last one stands: write it once", option, first.Line))
	default:
		return d.Errf("%s is there already, at line %d: write it once", option, first.Line)
	}
	return nil
}

// warn keeps a warning about what d stands on.
func (p *poolParser) warn(d *caddyfile.Dispenser, text string) {
	w := placeOf(d)
	w.Message = text
	p.warnings = append(p.warnings, w)
}

// placeOf is a warning without text about what d stands on.
func placeOf(d *caddyfile.Dispenser) caddyconfig.Warning {
	return caddyconfig.Warning{File: d.File(), Line: d.Line()}
}

// poolOptionNames are the options of a pool.
var poolOptionNames = []string{
	"to", "backend", "dynamic", "update_frequency", "resolvers", "lb_policy", "hash_key", "balance_factor", "max_iterations",
	"health_check", "outlier_detection", "panic_threshold", "overprovisioning", "slow_start", "queue", "limits",
	"adaptive_concurrency", "drain_idle", "resilience", "health_uri", "health_path", "health_upstream", "health_port",
	"health_headers", "health_method", "health_request_body", "health_interval", "health_timeout", "health_status",
	"health_body", "health_follow_redirects", "health_passes", "health_fails", "max_fails", "fail_duration",
	"unhealthy_request_count", "unhealthy_status", "unhealthy_latency", "transport",
}

// handlerOptionNames are all options of lb_proxy.
func handlerOptionNames() []string {
	return slices.Concat([]string{"pool"}, poolOptionNames, slices.Sorted(maps.Keys(requestOptions)))
}
