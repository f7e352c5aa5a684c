package lbproxy

import (
	"errors"
	"net/http"
	"slices"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddylb/caddy-lb/internal/module"
)

func init() {
	caddy.RegisterModule(CopyResponseHeaders{})
	httpcaddyfile.RegisterHandlerDirective("lb_copy_response_headers", parseCopyResponseHeaders)
	httpcaddyfile.RegisterDirectiveOrder("lb_copy_response_headers", httpcaddyfile.After, "copy_response_headers")
}

// CopyResponseHeaders adds header fields of the answer that a handle_response route of lb_proxy was entered
// with to what the client gets, and lets the route go on. Fields that concern the backend's connection only are never
// copied. It is what copy_response_headers becomes within handle_response; a named route, which handle_response
// reaches with invoke, has to have it under its own name.
//
// It fails with status 500 where there is no such answer.
type CopyResponseHeaders struct {
	// Include are the fields to copy. Default: all but Content-Length, which is about the answer's own body.
	Include []string `json:"include,omitempty"`

	// Exclude are the fields not to copy. Only one of Include and Exclude may be given.
	Exclude []string `json:"exclude,omitempty"`

	include, exclude map[string]bool // by canonical name
}

// CaddyModule returns the Caddy module information.
func (CopyResponseHeaders) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.handlers.lb_copy_response_headers",
		New: func() caddy.Module { return new(CopyResponseHeaders) },
	}
}

// Provision sets the handler up.
func (c *CopyResponseHeaders) Provision(caddy.Context) error {
	c.include, c.exclude = canonicalSet(c.Include), canonicalSet(c.Exclude)
	return nil
}

func canonicalSet(fields []string) map[string]bool {
	set := make(map[string]bool, len(fields))
	for _, field := range fields {
		set[http.CanonicalHeaderKey(field)] = true
	}
	return set
}

// Validate checks that the fields are named in one way.
func (c *CopyResponseHeaders) Validate() error {
	if len(c.Include) > 0 && len(c.Exclude) > 0 {
		return errors.New("copy_response_headers has both include and exclude: write one of them")
	}
	return nil
}

// ServeHTTP copies the fields and goes on with next.
func (c *CopyResponseHeaders) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	_, a, err := handledAnswer(r, "copy_response_headers")
	if err != nil {
		return err
	}
	fields := make(http.Header, len(a.res.Header))
	addEndToEnd(fields, a.res.Header)
	header := w.Header()
	for field, values := range fields {
		if c.exclude[field] || !c.include[field] && (len(c.include) > 0 || field == "Content-Length") {
			continue
		}
		// Later handlers may change the values in place; the answer keeps its own.
		addValues(header, field, slices.Clone(values))
	}
	return next.ServeHTTP(w, r)
}

func parseCopyResponseHeaders(h httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
	c := new(CopyResponseHeaders)
	if err := c.UnmarshalCaddyfile(h.Dispenser); err != nil {
		return nil, err
	}
	return c, nil
}

// UnmarshalCaddyfile sets up the handler from Caddyfile tokens. Syntax:
//
//	lb_copy_response_headers [<matcher>] {
//	    include <fields...>
//	    exclude <fields...>
//	}
func (c *CopyResponseHeaders) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // consume the directive
	directive := d.Val()
	if d.NextArg() {
		return d.Errf("%s takes no arguments: write the fields in a block, after include or exclude", directive)
	}
	for d.NextBlock(0) {
		option := d.Val()
		fields := d.RemainingArgs()
		if len(fields) == 0 {
			return d.Errf("%s %s lacks its fields: write '%s <fields...>'", directive, option, option)
		}
		switch option {
		case "include":
			c.Include = append(c.Include, fields...)
		case "exclude":
			c.Exclude = append(c.Exclude, fields...)
		default:
			return d.Errf("unrecognized subdirective %s of %s: %s", option, directive, module.Suggest(option, "include", "exclude"))
		}
	}
	if err := c.Validate(); err != nil {
		return d.WrapErr(err)
	}
	return nil
}

// Interface guards
var (
	_ caddy.Provisioner           = (*CopyResponseHeaders)(nil)
	_ caddy.Validator             = (*CopyResponseHeaders)(nil)
	_ caddyfile.Unmarshaler       = (*CopyResponseHeaders)(nil)
	_ caddyhttp.MiddlewareHandler = (*CopyResponseHeaders)(nil)
)
