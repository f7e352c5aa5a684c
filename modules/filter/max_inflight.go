package filter

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddylb/caddy-lb/internal/module"
)

func init() {
	caddy.RegisterModule(new(MaxInflight))
}

// MaxInflight refuses requests of clients that have too many under way. Further ones are answered 429 with Retry-After: 1, as it is the
// client that has to wait; 503 would say that the service cannot. A request holds its place until its answer has ended, an upgraded connection
// until it is closed. A request whose key is empty is not limited.
//
// Limits with equal definitions (name, key and number) are one limit, wherever they stand and over reloads. Memory is needed for
// keys with requests under way only.
type MaxInflight struct {
	// Key is what is counted by, as in [RateLimit]. Required.
	Key string `json:"key"`

	// Max is how many requests of one key may be under way. Required: 1 or more.
	Max int `json:"max"`

	// Name keeps the limit apart from equal ones, and is its name in metrics.
	Name string `json:"name,omitempty"`

	// DryRun counts what would be refused, and refuses nothing.
	DryRun bool `json:"dry_run,omitempty"`

	key        limitKey
	definition inflightDefinition
	state      *inflightState
	held       bool // a reference to state
}

// CaddyModule returns the Caddy module information.
func (*MaxInflight) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.lb_proxy.filters.max_inflight", New: func() caddy.Module { return new(MaxInflight) }}
}

// Provision checks the options, and finds what is under way already.
func (f *MaxInflight) Provision(ctx caddy.Context) (err error) {
	if f.key, err = parseLimitKey(f.Key); err != nil {
		return fmt.Errorf("max_inflight: %w", err)
	}
	if f.Max < 1 {
		return fmt.Errorf("max_inflight: the number is %d: the least is 1", f.Max)
	}
	f.definition = inflightDefinition{f.Name, f.Key, f.Max}
	f.state, f.held = f.definition.acquire(), true
	return module.RegisterMetrics(ctx, limitCollector{})
}

// Cleanup gives the limit back. Requests that are under way still give back their places.
func (f *MaxInflight) Cleanup() error {
	if !f.held {
		return nil
	}
	f.held = false
	_, err := inflightLimits.Delete(f.definition)
	return err
}

// errTooManyInflight is as [errRateLimited].
var errTooManyInflight error = caddyhttp.HandlerError{
	StatusCode: http.StatusTooManyRequests,
	Err:        errors.New("the client has too many requests under way"),
}

// Request implements [RequestFilter].
func (f *MaxInflight) Request(x *Context) (answered bool, err error) {
	key := f.key.of(x)
	if key == "" {
		return false, nil
	}
	place, under := f.state.enter(key, f.Max, f.DryRun)
	if under || f.DryRun {
		x.Set(f, place)
	}
	switch {
	case under:
		f.state.results.add(allowed)
	case f.DryRun:
		f.state.results.add(dryRun)
	default:
		f.state.results.add(refused)
		x.Writer.Header()["Retry-After"] = []string{"1"}
		return false, errTooManyInflight
	}
	return false, nil
}

// Logging implements [LoggingFilter]: it gives the place back, which is in the state that it was taken from whatever is configured by now.
func (f *MaxInflight) Logging(x *Context, _ error) {
	if place, ok := x.Get(f).(uint64); ok {
		x.Set(f, nil)
		f.state.leave(place)
	}
}

const maxInflightUsage = "max_inflight <key> <n>"

// UnmarshalCaddyfile sets up the filter from Caddyfile tokens:
//
//	max_inflight <key> <n> {
//		name <name>
//		dry_run
//	}
func (f *MaxInflight) UnmarshalCaddyfile(d *caddyfile.Dispenser) (err error) {
	d.Next()
	if f.Key, err = unmarshalKey(d, maxInflightUsage); err != nil {
		return err
	}
	var n int64
	if err := countArg(d, &n, maxInflightUsage); err != nil {
		return err
	}
	f.Max = int(n)
	return unmarshalBlock(d, "max_inflight", "name <name> or dry_run", func(name string) (bool, error) {
		switch name {
		case "name":
			return true, textArg(d, &f.Name, "name <name>")
		case "dry_run":
			return true, flagArg(d, &f.DryRun)
		}
		return false, nil
	})
}

// Interface guards
var (
	_ RequestFilter         = (*MaxInflight)(nil)
	_ LoggingFilter         = (*MaxInflight)(nil)
	_ caddy.Provisioner     = (*MaxInflight)(nil)
	_ caddy.CleanerUpper    = (*MaxInflight)(nil)
	_ caddyfile.Unmarshaler = (*MaxInflight)(nil)
)
