// Package healthcheck runs active health checks. A check is a Caddy module in the namespace
// http.lb_proxy.health_checks that implements [Checker], one file each; the runner around it (schedule, jitter,
// thresholds, sharing, state over a reload) is the same for all and lives in [Monitor].
package healthcheck

import (
	"context"
	"crypto/tls"
	"encoding/json"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/caddylb/caddy-lb/lb"
)

// Namespace is where Caddy finds the modules of this package, and of others that add a check.
const Namespace = "http.lb_proxy.health_checks"

// Target is the backend that a check looks at.
type Target struct {
	// Address is where to connect: the backend's address, with the check's own port if one is set.
	Address lb.Address

	// Backend is the backend's own address, whatever port is checked. [Acquire] fills it in from Address when
	// it is empty.
	Backend lb.Address

	// Name is the host as configured when the address came from a name, else empty. It serves as server name
	// in TLS and as Host.
	Name string

	// ServerName is the backend's own tls_server_name; empty when it has none.
	ServerName string
}

// Checker is what a check module implements.
type Checker interface {
	// Check looks at t once and returns nil when it is well, or the reason why it is not. ctx ends at the
	// check's timeout. Check is called for many backends at once, never twice at a time for one of them.
	Check(ctx context.Context, t Target) error
}

// Thresholder may be implemented by a Checker that has its own idea of how many results in a row change the
// state (Pingora's HealthCheck::health_threshold). It is asked for each result; an answer below 1 leaves it to
// consecutive_success and consecutive_failure.
type Thresholder interface {
	HealthThreshold(t Target, pass bool) int
}

// StateObserver may be implemented by a Checker that wants to know when a backend changes state (Pingora's
// HealthCheck::health_status_change). reason is the failed check's error, nil on recovery. It must not block.
type StateObserver interface {
	HealthChanged(t Target, healthy bool, reason error)
}

// Inheritor may be implemented by a Checker that connects as the pool's transport does, where its own options
// say nothing else. Inherit is called once, after the module was provisioned and before the first check.
type Inheritor interface {
	Inherit(from Inherited)
}

// Inherited is what checks take over from the transport that carries the pool's requests: a backend behind a
// private certificate authority, or one that expects a PROXY header, expects the same of a check.
type Inherited struct {
	// TLS holds the transport's roots, client certificates and name; nil when it has no settings of its own.
	// It is cloned before use.
	TLS *tls.Config

	// ProxyProtocol is "v1", "v2" or empty, as in the http transport.
	ProxyProtocol string

	// Key stands for the settings when checks are compared: two checks with the same Key, and otherwise equal,
	// are one. The transport's JSON serves well.
	Key string
}

// Config is one health_check of a pool: which check, and the options common to all of them.
type Config struct {
	// CheckRaw is the check module. `{"kind": "tcp"}` is the least.
	CheckRaw json.RawMessage `json:"check,omitempty" caddy:"namespace=http.lb_proxy.health_checks inline_key=kind"`

	// Interval is the time from the start of one check to the start of the next. Default: 10s.
	Interval caddy.Duration `json:"interval,omitempty"`

	// IntervalUnhealthy replaces Interval while the backend is down. Default: Interval.
	IntervalUnhealthy caddy.Duration `json:"interval_unhealthy,omitempty"`

	// Timeout bounds the whole check, from connecting to the last byte read. Default: 1s.
	Timeout caddy.Duration `json:"timeout,omitempty"`

	// ConsecutiveSuccess is how many passes in a row bring a backend back. Default: 1.
	ConsecutiveSuccess int `json:"consecutive_success,omitempty"`

	// ConsecutiveFailure is how many failures in a row take a backend out. Default: 1.
	ConsecutiveFailure int `json:"consecutive_failure,omitempty"`

	// Port is checked instead of the backend's own. Default: the backend's. Backends on Unix sockets have no
	// port and are checked where they are.
	Port int `json:"port,omitempty"`

	// Jitter is the largest share of the interval by which a check is moved, as a fraction from 0 to 1, so
	// that the checks of many backends and instances spread out. Default: 0.1. Negative: none.
	Jitter float64 `json:"jitter,omitempty"`

	// Sequential checks the backends of the pool one after another instead of all in parallel.
	Sequential bool `json:"sequential,omitempty"`

	// Initial is what a backend counts as before its first result: "healthy" (default), "unhealthy", or
	// "check": a configuration becomes active only when each backend had a first result or timed out. With
	// "check" a backend does not serve before its first result, and that one result decides, whatever
	// consecutive_success says.
	Initial string `json:"initial,omitempty"`

	checker   Checker
	inherited Inherited

	kind   string      // the module's name, "tcp" for example
	module string      // canonical JSON of the module alone
	key    string      // canonical JSON of the whole, defaults filled in
	parent *zap.Logger // of logger; nil: the default
	logger *zap.Logger
}

// Values of [Config.Initial].
const (
	InitialHealthy   = "healthy"
	InitialUnhealthy = "unhealthy"
	InitialCheck     = "check"
)
