package lbproxy

import (
	"encoding/json"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddylb/caddy-lb/modules/healthcheck"
)

// PoolConfig is a pool as configured: the fields are those of Caddy's reverse_proxy handler, and more. It
// stands in the lb app under the pool's name, or directly in an lb_proxy handler.
type PoolConfig struct {
	// Upstreams are the backends.
	Upstreams []*Upstream `json:"upstreams,omitempty"`

	// LoadBalancing says how a backend is picked, and in a handler how often another one is tried.
	LoadBalancing *LoadBalancing `json:"load_balancing,omitempty"`

	// HealthChecks say when a backend is out of service.
	HealthChecks *HealthChecks `json:"health_checks,omitempty"`

	// TransportRaw is how backends are spoken to. Default: plain HTTP/1.1. Backends that differ from it in
	// scheme or server name get a variant of it.
	TransportRaw json.RawMessage `json:"transport,omitempty" caddy:"namespace=http.reverse_proxy.transport inline_key=protocol"`

	// DynamicUpstreamsRaw is a module that names the backends for each request. Upstreams then serve only while
	// it fails. Default: none.
	DynamicUpstreamsRaw json.RawMessage `json:"dynamic_upstreams,omitempty" caddy:"namespace=http.reverse_proxy.upstreams inline_key=source"`

	// CircuitBreakerRaw is a module that can keep requests from all backends of the pool for a while. Default: none.
	CircuitBreakerRaw json.RawMessage `json:"circuit_breaker,omitempty" caddy:"namespace=http.reverse_proxy.circuit_breakers inline_key=type"`

	// UpdateFrequency is how often host names are resolved, each address then being a backend of its own. A
	// lookup that fails keeps the last good set. Default: 0, a name is one backend, resolved when connecting.
	UpdateFrequency caddy.Duration `json:"update_frequency,omitempty"`

	// Resolvers are the DNS servers (host or host:port) that host names are looked up with under
	// UpdateFrequency, asked in turn. Default: those of the system.
	Resolvers []string `json:"resolvers,omitempty"`
}

// Upstream is one backend as configured, or one name that stands for several.
type Upstream struct {
	// Dial is the network address to connect to, as in reverse_proxy. It may hold placeholders.
	Dial string `json:"dial,omitempty"`

	// MaxRequests bounds the requests the backend serves at once. Default: 0, no bound.
	MaxRequests int `json:"max_requests,omitempty"`

	// Scheme is "http", "https" or "h2c". Default: what the transport is configured for.
	Scheme string `json:"scheme,omitempty"`

	// Weight is the backend's share relative to the others, from 0 (drained) to lb.MaxWeight. Default: 1.
	Weight *int `json:"weight,omitempty"`

	// Priority is the tier: 0 first; a higher tier serves only when the lower ones cannot. Default: 0.
	Priority int `json:"priority,omitempty"`

	// Backup keeps the backend for when no other one can serve. Default: false.
	Backup bool `json:"backup,omitempty"`

	// TLSServerName is the name expected in this backend's certificate. Default: the transport's
	// server_name, else the host.
	TLSServerName string `json:"tls_server_name,omitempty"`
}

// weight is the backend's weight, the default included.
func (u *Upstream) weight() int {
	if u.Weight == nil {
		return 1
	}
	return *u.Weight
}

// LoadBalancing has the parameters of selection and of retries.
type LoadBalancing struct {
	// SelectionPolicyRaw is how a backend is picked. Default: round_robin.
	SelectionPolicyRaw json.RawMessage `json:"selection_policy,omitempty" caddy:"namespace=http.lb_proxy.selection inline_key=policy"`

	// Retries is how often another backend is tried. Default: 0. A failure to connect is tried on every
	// backend not yet tried whatever is set here.
	Retries int `json:"retries,omitempty"`

	// TryDuration is how long backends are tried, and waited for when none is available. Default: 0.
	TryDuration caddy.Duration `json:"try_duration,omitempty"`

	// TryInterval is the wait between tries. Default: 250ms with TryDuration, else 0.
	TryInterval caddy.Duration `json:"try_interval,omitempty"`

	// RetryMatchRaw are matchers that say which failed requests are tried again. Default: GET requests.
	RetryMatchRaw caddyhttp.RawMatcherSets `json:"retry_match,omitempty" caddy:"namespace=http.matchers"`

	RetryMatch caddyhttp.MatcherSets `json:"-"`

	// RetryOn are the conditions under which a request that a backend was sent is tried again: connect, timeout, reset, gateway, 5xx,
	// or a status code; non_idempotent has them hold for all methods. Retries is 1 with it where neither Retries nor
	// TryDuration is set. Default: none, what RetryMatchRaw says.
	RetryOn []string `json:"retry_on,omitempty"`

	// RetryBackoff is the wait between tries, in place of TryInterval. Default: TryInterval.
	RetryBackoff *RetryBackoff `json:"retry_backoff,omitempty"`

	// TryTimeout is how long each try may take until the header of the answer, connecting included. Default: 0, no bound.
	TryTimeout caddy.Duration `json:"try_timeout,omitempty"`

	// RetryBudget bounds the retries of all requests. Default: no bound.
	RetryBudget *RetryBudget `json:"retry_budget,omitempty"`

	// PanicThreshold is the percentage of backends available in a tier below which all of them are used, health or not.
	// Default: 0, never.
	PanicThreshold float64 `json:"panic_threshold,omitempty"`

	// Overprovisioning is the factor by which a tier's share of available backends counts towards the whole load, before
	// load spills to the next tier. Negative: tiers are strict. Default: 1.4; with a dynamic source strict.
	Overprovisioning float64 `json:"overprovisioning,omitempty"`

	// SlowStart has backends that are new or have recovered take their share gradually. Default: at once.
	SlowStart *SlowStart `json:"slow_start,omitempty"`

	// Queue is where requests wait while every backend is full. Default: none, they get 503.
	Queue *Queue `json:"queue,omitempty"`

	// Limits bound what the pool has under way. Default: no bounds.
	Limits *Limits `json:"limits,omitempty"`

	// AdaptiveConcurrency has each backend's limit of concurrent requests found by its latency. Default: it is not.
	AdaptiveConcurrency *AdaptiveConcurrency `json:"adaptive_concurrency,omitempty"`

	// DrainIdle is how long a drained backend has to have had no request, where clients belong to backends, before it
	// counts as empty. Default: 1m.
	DrainIdle caddy.Duration `json:"drain_idle,omitempty"`
}

// HealthChecks configures when a backend is out of service.
type HealthChecks struct {
	// Active is the HTTP check of reverse_proxy.
	Active *healthcheck.Active `json:"active,omitempty"`

	// Passive watches the traffic, as in reverse_proxy.
	Passive *PassiveHealthChecks `json:"passive,omitempty"`

	// OutlierDetection watches the traffic, as in Envoy.
	OutlierDetection *OutlierDetection `json:"outlier_detection,omitempty"`

	// Checks are active checks of any kind. A backend must pass all of them.
	Checks []*healthcheck.Config `json:"checks,omitempty"`
}

// PassiveHealthChecks takes a backend out of service for failures seen in the traffic.
type PassiveHealthChecks struct {
	// FailDuration is how long a failure is remembered; 0 turns passive checks off. Default: 0.
	FailDuration caddy.Duration `json:"fail_duration,omitempty"`

	// MaxFails is how many remembered failures take the backend out. Default: 1.
	MaxFails int `json:"max_fails,omitempty"`

	// UnhealthyRequestCount is the max_requests of backends that set none.
	UnhealthyRequestCount int `json:"unhealthy_request_count,omitempty"`

	// UnhealthyStatus are status codes, or their first digits, that count as failures.
	UnhealthyStatus []int `json:"unhealthy_status,omitempty"`

	// UnhealthyLatency is the time to first byte from which an answer counts as a failure. Default: 0, none.
	UnhealthyLatency caddy.Duration `json:"unhealthy_latency,omitempty"`
}
