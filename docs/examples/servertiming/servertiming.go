// Package servertiming is a filter: it tells the client how long the backend took, in the field Server-Timing.
package servertiming

import (
	"fmt"
	"net/http"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddylb/caddy-lb/modules/filter"
)

func init() { caddy.RegisterModule(new(ServerTiming)) }

// ServerTiming adds the time from picking a backend to its answer. It has two phases; what the first knows, the second finds in the Context.
type ServerTiming struct {
	// Metric is the name in the field. Default: upstream.
	Metric string `json:"metric,omitempty"`

	now func() time.Time
}

// CaddyModule returns the Caddy module information.
func (*ServerTiming) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.lb_proxy.filters.server_timing", New: func() caddy.Module { return new(ServerTiming) }}
}

// Provision sets the default.
func (f *ServerTiming) Provision(caddy.Context) error {
	if f.Metric == "" {
		f.Metric = "upstream"
	}
	f.now = time.Now
	return nil
}

// UpstreamSelected notes when each try begins.
func (f *ServerTiming) UpstreamSelected(x *filter.Context) error {
	x.Set(f, f.now())
	return nil
}

// Response adds the field to the answer of the try that succeeded.
func (f *ServerTiming) Response(x *filter.Context, status int, header http.Header) (int, error) {
	if began, ok := x.Get(f).(time.Time); ok {
		ms := float64(f.now().Sub(began)) / float64(time.Millisecond)
		header.Add("Server-Timing", fmt.Sprintf("%s;dur=%.1f;desc=\"try %d\"", f.Metric, ms, x.Try))
	}
	return status, nil
}

// UnmarshalCaddyfile reads: filter server_timing [<metric>]
func (f *ServerTiming) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the filter's name
	if d.NextArg() {
		f.Metric = d.Val()
	}
	if d.NextArg() || d.NextBlock(0) {
		return d.ArgErr()
	}
	return nil
}

// A method with a mistake in its signature would be no phase: these lines make the compiler find it.
var (
	_ filter.UpstreamSelectedFilter = (*ServerTiming)(nil)
	_ filter.ResponseFilter         = (*ServerTiming)(nil)
	_ caddy.Provisioner             = (*ServerTiming)(nil)
	_ caddyfile.Unmarshaler         = (*ServerTiming)(nil)
)
