// Package maintenance is a filter for lb_proxy: while a file is there, requests are refused with 503.
package maintenance

import (
	"errors"
	"net/http"
	"os"
	"strconv"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddylb/caddy-lb/modules/filter"
)

func init() { caddy.RegisterModule(new(Maintenance)) }

// Maintenance refuses requests while a file is there. The error goes to handle_errors, which may show a page.
type Maintenance struct {
	// File is looked for at each request.
	File string `json:"file"`

	// RetryAfter is when clients are asked to come again. Default: 1m.
	RetryAfter caddy.Duration `json:"retry_after,omitempty"`

	seconds string
}

// CaddyModule returns the Caddy module information.
func (*Maintenance) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.lb_proxy.filters.maintenance", New: func() caddy.Module { return new(Maintenance) }}
}

// Provision sets the default.
func (f *Maintenance) Provision(caddy.Context) error {
	if f.RetryAfter <= 0 {
		f.RetryAfter = caddy.Duration(time.Minute)
	}
	f.seconds = strconv.Itoa(int(time.Duration(f.RetryAfter).Seconds()))
	return nil
}

// Validate refuses a configuration without a file.
func (f *Maintenance) Validate() error {
	if f.File == "" {
		return errors.New("maintenance: file is not set")
	}
	return nil
}

var errMaintenance = errors.New("maintenance mode is on")

// Request implements filter.RequestFilter.
func (f *Maintenance) Request(x *filter.Context) (answered bool, err error) {
	if _, err := os.Stat(f.File); err != nil {
		return false, nil
	}
	x.Writer.Header().Set("Retry-After", f.seconds)
	return false, caddyhttp.Error(http.StatusServiceUnavailable, errMaintenance)
}

// UnmarshalCaddyfile sets up the filter from Caddyfile tokens:
//
//	maintenance <file> [<retry_after>]
func (f *Maintenance) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the filter's name
	if !d.NextArg() {
		return d.ArgErr()
	}
	f.File = d.Val()
	if d.NextArg() {
		after, err := caddy.ParseDuration(d.Val())
		if err != nil {
			return d.WrapErr(err)
		}
		f.RetryAfter = caddy.Duration(after)
	}
	if d.NextArg() || d.NextBlock(0) {
		return d.ArgErr()
	}
	return nil
}

// Interface guards
var (
	_ filter.RequestFilter  = (*Maintenance)(nil)
	_ caddy.Provisioner     = (*Maintenance)(nil)
	_ caddy.Validator       = (*Maintenance)(nil)
	_ caddyfile.Unmarshaler = (*Maintenance)(nil)
)
