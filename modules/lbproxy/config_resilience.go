package lbproxy

import (
	"errors"
	"fmt"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddylb/caddy-lb/internal/outlier"
	"github.com/caddylb/caddy-lb/lb"
)

// defaultOverprovisioning is Envoy's factor for tiers.
const defaultOverprovisioning = 1.4

// SlowStart has members that are new or have recovered take their share gradually.
type SlowStart struct {
	// Duration is how long it takes. Above 0.
	Duration caddy.Duration `json:"duration,omitempty"`

	// Aggression bends the ramp: 1 is a straight line, larger values rise faster at first. Default: 1.
	Aggression float64 `json:"aggression,omitempty"`
}

// Queue is where requests wait, in order, while every backend serves as many as it may.
type Queue struct {
	// Size is how many requests may wait; further ones get 503 at once. Above 0.
	Size int `json:"size,omitempty"`

	// Timeout is how long one may wait. Default: 10s.
	Timeout caddy.Duration `json:"timeout,omitempty"`
}

// defaultQueueTimeout is how long a request waits for a place where nothing else is said.
const defaultQueueTimeout = 10 * time.Second

// Limits bound what a pool has under way at once, over all its backends. 0 is no bound.
type Limits struct {
	// Requests that are under way; further ones wait in the queue, or get 503.
	Requests int `json:"requests,omitempty"`

	// Connections that are open, idle ones included. A request that needs one more closes an idle one, or is not sent.
	// They are counted for HTTP/1.1 and for each address and transport of the pool.
	Connections int `json:"connections,omitempty"`

	// Retries that are under way; further ones are not made.
	Retries int `json:"retries,omitempty"`
}

// AdaptiveConcurrency has each backend's limit of concurrent requests found by its latency, see [lb.Adaptive].
type AdaptiveConcurrency struct {
	// Initial is the limit of a backend of which nothing is known. Default: 20.
	Initial int `json:"initial,omitempty"`

	// Min and Max bound the limit. Defaults: 2 and 1000.
	Min int `json:"min,omitempty"`
	Max int `json:"max,omitempty"`

	// Tolerance is how many times slower than with little to do answers may be before the limit shrinks. Default: 1.5.
	Tolerance float64 `json:"tolerance,omitempty"`
}

// OutlierDetection takes backends out of service for what the traffic shows of them, as Envoy's does. In numbers 0 is
// the default, and -1 turns a rule off.
type OutlierDetection struct {
	// Consecutive5xx is how many failures in a row eject a backend: answers of 500 and above, broken connections and
	// bodies, time limits, failures to connect. Default: 5.
	Consecutive5xx int `json:"consecutive_5xx,omitempty"`

	// ConsecutiveGatewayFailure counts all of these but other statuses than 502, 503 and 504. Default: 5.
	ConsecutiveGatewayFailure int `json:"consecutive_gateway_failure,omitempty"`

	// ConsecutiveConnectFailure counts failures to connect. Default: 3.
	ConsecutiveConnectFailure int `json:"consecutive_connect_failure,omitempty"`

	// FailurePercentage ejects backends of which at least this percentage of an interval's requests failed. Default: 85.
	FailurePercentage *OutlierRule `json:"failure_percentage,omitempty"`

	// SuccessRate ejects backends whose success rate in an interval is so many standard deviations below the mean.
	// Default: 1.9.
	SuccessRate *OutlierRule `json:"success_rate,omitempty"`

	// Latency ejects backends whose median time to first byte in an interval is so many times that of their peers.
	// Default: off.
	Latency *OutlierRule `json:"latency,omitempty"`

	// Interval is how often rates are looked at. Default: 10s.
	Interval caddy.Duration `json:"interval,omitempty"`

	// BaseEjectionTime is how long a first ejection lasts; the second in a row lasts twice that, and so on. Default: 30s.
	BaseEjectionTime caddy.Duration `json:"base_ejection_time,omitempty"`

	// MaxEjectionTime bounds that. Default: 300s.
	MaxEjectionTime caddy.Duration `json:"max_ejection_time,omitempty"`

	// MaxEjectionPercent bounds the share of backends that are ejected at once. Default: 10.
	MaxEjectionPercent float64 `json:"max_ejection_percent,omitempty"`

	// AlwaysEjectOne lets one backend be ejected where MaxEjectionPercent of them is less than one.
	AlwaysEjectOne bool `json:"always_eject_one,omitempty"`
}

// OutlierRule is one rule of [OutlierDetection] about an interval.
type OutlierRule struct {
	// Threshold is the number that the rule is named after; -1 turns it off.
	Threshold float64 `json:"threshold,omitempty"`

	// MinRequests is how many requests a backend needs in the interval to be judged. Default: 50, for SuccessRate 100.
	MinRequests int `json:"min_requests,omitempty"`

	// MinHosts is how many such backends there have to be. Default: 5, for Latency 3.
	MinHosts int `json:"min_hosts,omitempty"`

	// Floor is how much slower than its peers a backend has to be for Latency, besides the factor. Default: 5ms.
	Floor caddy.Duration `json:"floor,omitempty"`
}

// defaultMaxEjectionPercent is Envoy's.
const defaultMaxEjectionPercent = 10

func (o *OutlierDetection) maxPercent() float64 {
	if o.MaxEjectionPercent == 0 {
		return defaultMaxEjectionPercent
	}
	return o.MaxEjectionPercent
}

// config is what outlier detection itself works with.
func (o *OutlierDetection) config() outlier.Config {
	c := outlier.Config{
		Consecutive5xx:     o.Consecutive5xx,
		ConsecutiveGateway: o.ConsecutiveGatewayFailure,
		ConsecutiveConnect: o.ConsecutiveConnectFailure,
		Interval:           time.Duration(o.Interval),
		BaseEjection:       time.Duration(o.BaseEjectionTime),
		MaxEjection:        time.Duration(o.MaxEjectionTime),
		MaxEjectionPercent: o.maxPercent(),
		AlwaysEjectOne:     o.AlwaysEjectOne,
	}
	if r := o.FailurePercentage; r != nil {
		c.FailurePercentage = outlier.Percentage{Threshold: r.Threshold, MinRequests: r.MinRequests, MinHosts: r.MinHosts}
	}
	if r := o.SuccessRate; r != nil {
		c.SuccessRate = outlier.Deviation{Factor: r.Threshold, MinRequests: r.MinRequests, MinHosts: r.MinHosts}
	}
	if r := o.Latency; r != nil {
		c.Latency = outlier.Slowness{Factor: r.Threshold, MinRequests: r.MinRequests, MinHosts: r.MinHosts, Floor: time.Duration(r.Floor)}
	}
	return c
}

// validateResilience finds what the fields that say how a pool copes cannot mean.
func (c *PoolConfig) validateResilience() error {
	if o := c.outlierDetection(); o != nil && (o.MaxEjectionPercent < 0 || o.MaxEjectionPercent > 100) {
		return fmt.Errorf("max_ejection_percent %v is not within 0 and 100", o.MaxEjectionPercent)
	}
	l := c.LoadBalancing
	if l == nil {
		return nil
	}
	switch {
	case l.PanicThreshold < 0 || l.PanicThreshold > 100:
		return fmt.Errorf("panic_threshold %v is not within 0 and 100 percent", l.PanicThreshold)
	case l.Overprovisioning > 0 && l.Overprovisioning < 1:
		return fmt.Errorf("overprovisioning %v is below 1: write 1.4, or off for strict tiers", l.Overprovisioning)
	case l.SlowStart != nil && (l.SlowStart.Duration <= 0 || l.SlowStart.Aggression < 0):
		return errors.New("slow_start needs a duration above 0, and an aggression above 0 if any")
	case l.Queue != nil && (l.Queue.Size <= 0 || l.Queue.Timeout < 0):
		return errors.New("a queue needs room for at least one request, and a timeout above 0 if any")
	case l.Limits != nil && (l.Limits.Requests < 0 || l.Limits.Connections < 0 || l.Limits.Retries < 0):
		return errors.New("limits cannot be negative")
	}
	return l.AdaptiveConcurrency.validate()
}

func (a *AdaptiveConcurrency) validate() error {
	if a == nil {
		return nil
	}
	if a.Initial < 0 || a.Min < 0 || a.Max < 0 || a.Max > 0 && a.Min > a.Max {
		return errors.New("adaptive_concurrency: initial, min and max are above 0, and min is not above max")
	}
	if a.Tolerance != 0 && a.Tolerance < 1 {
		return fmt.Errorf("adaptive_concurrency: tolerance %v is below 1: write how many times slower answers may become", a.Tolerance)
	}
	return nil
}

func (c *PoolConfig) outlierDetection() *OutlierDetection {
	if c.HealthChecks == nil {
		return nil
	}
	return c.HealthChecks.OutlierDetection
}

// options are those of the pool. Tiers of a dynamic source are strict where nothing else is said: a client must reach for
// the SRV records of the lowest priority that it can (RFC 2782).
func (c *PoolConfig) options(state *poolState) lb.Options {
	var o lb.Options
	if c.DynamicUpstreamsRaw == nil {
		o.Overprovisioning = defaultOverprovisioning
	}
	if d := c.outlierDetection(); d != nil {
		o.MaxEjectionPercent, o.AlwaysEjectOne = d.maxPercent(), d.AlwaysEjectOne
	}
	l := c.LoadBalancing
	if l == nil {
		return o
	}
	o.PanicThreshold = l.PanicThreshold / 100
	if l.Overprovisioning != 0 {
		o.Overprovisioning = max(l.Overprovisioning, 0)
	}
	if s := l.SlowStart; s != nil {
		o.SlowStart, o.Aggression = time.Duration(s.Duration), s.Aggression
	}
	if l.Queue != nil {
		o.Queue = &state.queue
	}
	if a := l.AdaptiveConcurrency; a != nil {
		o.Adaptive = &lb.Adaptive{Initial: a.Initial, Min: a.Min, Max: a.Max, Tolerance: a.Tolerance}
	}
	return o
}
