package filter

import (
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/headers"

	"github.com/caddylb/caddy-lb/internal/module"
)

func init() {
	caddy.RegisterModule(new(Header))
}

// Header changes header fields, of the request as each backend gets it and of the answer as the client gets it, with the operations of
// Caddy's header directive. Placeholders of the backend are known in both.
type Header struct {
	// RequestOps is what changes in the request. Default: nothing.
	RequestOps *headers.HeaderOps `json:"request,omitempty"`

	// ResponseOps is what changes in the answer. With "require" it changes only answers that match; "deferred" means nothing here, since all of
	// it happens when the answer is there. Default: nothing.
	ResponseOps *headers.RespHeaderOps `json:"response,omitempty"`

	// ResponseDefault are fields that the answer gets where it has none of the name. Default: none.
	ResponseDefault http.Header `json:"response_default,omitempty"`
}

// CaddyModule returns the Caddy module information.
func (*Header) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.lb_proxy.filters.header", New: func() caddy.Module { return new(Header) }}
}

// Provision compiles the regular expressions.
func (f *Header) Provision(ctx caddy.Context) error {
	handler := headers.Handler{Request: f.RequestOps, Response: f.ResponseOps}
	if err := handler.Provision(ctx); err != nil {
		return err
	}
	canonical := make(http.Header, len(f.ResponseDefault))
	for field, values := range f.ResponseDefault {
		field = http.CanonicalHeaderKey(field)
		canonical[field] = append(canonical[field], values...)
	}
	f.ResponseDefault = canonical
	return nil
}

// Validate implements [caddy.Validator].
func (f *Header) Validate() error {
	if f.RequestOps == nil && f.ResponseOps == nil && len(f.ResponseDefault) == 0 {
		return errors.New("header changes nothing: give it request or response")
	}
	if f.ResponseOps != nil && f.ResponseOps.HeaderOps == nil {
		return errors.New("response changes nothing: give it add, set, delete or replace")
	}
	return headers.Handler{Request: f.RequestOps, Response: f.ResponseOps}.Validate()
}

// UpstreamRequest implements [UpstreamRequestFilter].
func (f *Header) UpstreamRequest(x *Context, r *http.Request) error {
	if f.RequestOps != nil {
		f.RequestOps.ApplyToRequest(r)
		RemoveTrailers(r.Trailer, f.RequestOps, x.Replacer)
	}
	return nil
}

// Response implements [ResponseFilter].
func (f *Header) Response(x *Context, status int, header http.Header) (int, error) {
	if ops := f.ResponseOps; ops != nil && (ops.Require == nil || ops.Require.Match(status, header)) {
		if len(ops.Replace) > 0 {
			// It writes into the values, which the backend's answer shares: placeholders go on showing what that said.
			for field, values := range header {
				header[field] = slices.Clone(values)
			}
		}
		ops.ApplyTo(header, x.Replacer)
		removeAnnounced(header, ops.HeaderOps, x.Replacer)
		x.Set(f, true) // for the trailers
	}
	for field, values := range f.ResponseDefault {
		if _, ok := header[field]; ok {
			continue
		}
		for _, value := range values {
			header.Add(field, x.Replacer.ReplaceKnown(value, ""))
		}
	}
	return status, nil
}

// Trailers implements [TrailersFilter].
func (f *Header) Trailers(x *Context, trailer http.Header) error {
	if x.Get(f) != nil {
		RemoveTrailers(trailer, f.ResponseOps.HeaderOps, x.Replacer)
	}
	return nil
}

const headerOptions = "request [+|-]<field> [<value> [<replacement>]] or response [+|-|?]<field> [<value> [<replacement>]]"

// UnmarshalCaddyfile sets up the filter from Caddyfile tokens. The operations are those of header_up and header_down; ? before a field of the
// response sets it where the answer has none.
//
//	header {
//		request  [+|-]<field>   [<value> [<replacement>]]
//		response [+|-|?]<field> [<value> [<replacement>]]
//	}
func (f *Header) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next()
	if err := module.NoMore(d, "header { … }"); err != nil {
		return err
	}
	err := unmarshalBlock(d, "header", headerOptions, func(name string) (bool, error) {
		switch name {
		case "request":
			if f.RequestOps == nil {
				f.RequestOps = new(headers.HeaderOps)
			}
			return true, unmarshalHeaderOp(d, f.RequestOps, d.RemainingArgs())
		case "response":
			return true, f.unmarshalResponse(d, d.RemainingArgs())
		}
		return false, nil
	})
	if err == nil && f.Validate() != nil {
		return d.Errf("header changes nothing: write %s in its block", headerOptions)
	}
	return err
}

func (f *Header) unmarshalResponse(d *caddyfile.Dispenser, args []string) error {
	if len(args) == 0 || !strings.HasPrefix(args[0], "?") {
		if f.ResponseOps == nil {
			f.ResponseOps = &headers.RespHeaderOps{HeaderOps: new(headers.HeaderOps)}
		}
		return unmarshalHeaderOp(d, f.ResponseOps.HeaderOps, args)
	}
	if len(args) != 2 || args[0] == "?" {
		return d.Errf("'response %s' does not say what is missing: write 'response ?<field> <value>'", strings.Join(args, " "))
	}
	if f.ResponseDefault == nil {
		f.ResponseDefault = make(http.Header)
	}
	f.ResponseDefault.Add(args[0][1:], args[1])
	return nil
}

// unmarshalHeaderOp adds one operation: a field to set, add or remove, or a replacement within it.
func unmarshalHeaderOp(d *caddyfile.Dispenser, ops *headers.HeaderOps, args []string) error {
	var value string
	var replacement *string
	switch len(args) {
	case 3:
		value, replacement = args[1], &args[2]
	case 2:
		value = args[1]
	case 1:
	default:
		return d.Errf("got %d arguments: write %s", len(args), headerOptions)
	}
	if strings.TrimLeft(args[0], "+-?>") == "" {
		return d.Errf("'%s' names no field: write %s", args[0], headerOptions)
	}
	err := headers.CaddyfileHeaderOp(ops, args[0], value, replacement)
	if err == nil {
		// Regular expressions that cannot be right are reported here, where file and line are known.
		err = ops.Provision(caddy.Context{})
	}
	if err != nil {
		return d.WrapErr(err)
	}
	return nil
}

// Interface guards
var (
	_ UpstreamRequestFilter = (*Header)(nil)
	_ ResponseFilter        = (*Header)(nil)
	_ TrailersFilter        = (*Header)(nil)
	_ caddy.Provisioner     = (*Header)(nil)
	_ caddy.Validator       = (*Header)(nil)
	_ caddyfile.Unmarshaler = (*Header)(nil)
)
