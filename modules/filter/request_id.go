package filter

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/google/uuid"
	"go.uber.org/zap"
	"golang.org/x/net/http/httpguts"

	"github.com/caddylb/caddy-lb/internal/module"
)

func init() {
	caddy.RegisterModule(new(RequestID))
}

// RequestID names each request, so that what client, proxy and backend log about it can be found together. The name is in a header field of
// the request, as backends get it, and of the answer, that to a failure included; in the placeholder {http.reverse_proxy.request_id}; and in
// the field request_id of the access log.
type RequestID struct {
	// Field is the header field. Default: X-Request-Id.
	Field string `json:"field,omitempty"`

	// Generate is what requests without a name of their own get: "uuid" for a UUID of version 7 (RFC 9562, section 5.7), whose order is that
	// of time, or text with placeholders. A UUID stands in for a text that comes out empty, longer than 128 bytes, or with bytes that no header
	// field can have. Default: uuid.
	Generate string `json:"generate,omitempty"`

	// Trust says whose names are kept: "on" for everybody's, "off" for nobody's. Only a token (RFC 9110, section 5.6.2) of at most 128
	// bytes is. Default: those of trusted proxies (trusted_proxies).
	Trust string `json:"trust,omitempty"`
}

// The values of [RequestID].
const (
	generateUUID = "uuid"
	trustOn      = "on"
	trustOff     = "off"
)

const (
	requestIDKey = "http.reverse_proxy.request_id" // the placeholder
	requestIDVar = "lb_proxy.request_id"           // the request's variable behind it
)

// maxRequestID is how long a name may be: enough for a UUID, a trace or a cloud's names, and not for filling logs.
const maxRequestID = 128

// CaddyModule returns the Caddy module information.
func (*RequestID) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.lb_proxy.filters.request_id", New: func() caddy.Module { return new(RequestID) }}
}

// Provision sets the defaults.
func (f *RequestID) Provision(caddy.Context) error {
	if f.Field == "" {
		f.Field = "X-Request-Id"
	}
	f.Field = http.CanonicalHeaderKey(f.Field)
	if f.Generate == "" {
		f.Generate = generateUUID
	}
	return nil
}

// Validate implements [caddy.Validator].
func (f *RequestID) Validate() error {
	if !httpguts.ValidHeaderFieldName(f.Field) {
		return fmt.Errorf("request_id: '%s' cannot be the name of a header field: X-Request-Id is usual", f.Field)
	}
	switch f.Trust {
	case "", trustOn, trustOff:
		return nil
	}
	return fmt.Errorf("request_id: trust is '%s': it has to be on or off, or left out", f.Trust)
}

// EarlyRequest implements [EarlyRequestFilter].
func (f *RequestID) EarlyRequest(x *Context) error {
	r := x.Request
	id, err := f.name(x)
	if err != nil {
		return err
	}
	r.Header[f.Field] = []string{id}
	x.Writer.Header().Set(f.Field, id)
	x.Set(f, id)
	publishRequestID(x, id)
	if extra, ok := r.Context().Value(caddyhttp.ExtraLogFieldsCtxKey).(*caddyhttp.ExtraLogFields); ok {
		extra.Set(zap.String("request_id", id))
	}
	return nil
}

// publishRequestID gives the placeholder its value. It is none that is set in the replacer, since proxies remove those of their prefix when they
// have an answer.
func publishRequestID(x *Context, id string) {
	ctx := x.Request.Context()
	if caddyhttp.GetVar(ctx, requestIDVar) == nil {
		x.Replacer.Map(func(key string) (any, bool) {
			if key != requestIDKey {
				return nil, false
			}
			return caddyhttp.GetVar(ctx, requestIDVar), true
		})
	}
	caddyhttp.SetVar(ctx, requestIDVar, id)
}

// name is the client's name of the request, or a new one.
func (f *RequestID) name(x *Context) (string, error) {
	if given := x.Request.Header[f.Field]; len(given) == 1 && f.trusts(x.Request) &&
		len(given[0]) <= maxRequestID && httpguts.ValidHeaderFieldName(given[0]) { // the name of a field is a token, too
		return given[0], nil
	}
	if f.Generate != generateUUID {
		id := strings.TrimSpace(x.Replacer.ReplaceAll(f.Generate, ""))
		if id != "" && len(id) <= maxRequestID && httpguts.ValidHeaderFieldValue(id) {
			return id, nil
		}
	}
	id, err := uuid.NewV7()
	return id.String(), err
}

func (f *RequestID) trusts(r *http.Request) bool {
	if f.Trust == "" {
		trusted, _ := caddyhttp.GetVar(r.Context(), caddyhttp.TrustedProxyVarKey).(bool)
		return trusted
	}
	return f.Trust == trustOn
}

// Response implements [ResponseFilter]: the backend's own word about the name does not stand beside this one.
func (f *RequestID) Response(x *Context, status int, header http.Header) (int, error) {
	if id, ok := x.Get(f).(string); ok {
		header.Set(f.Field, id)
	}
	return status, nil
}

const requestIDOptions = "generate uuid|<text with placeholders>, or trust on|off"

// UnmarshalCaddyfile sets up the filter from Caddyfile tokens:
//
//	request_id [<field>] {
//		generate uuid|<text>
//		trust    on|off
//	}
func (f *RequestID) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next()
	if d.NextArg() {
		f.Field = d.Val()
		if !httpguts.ValidHeaderFieldName(f.Field) {
			return d.Errf("'%s' cannot be the name of a header field: write 'request_id X-Request-Id', or without a field for that one", f.Field)
		}
		if err := module.NoMore(d, "request_id [<field>]"); err != nil {
			return err
		}
	}
	return unmarshalBlock(d, "request_id", requestIDOptions, func(name string) (known bool, err error) {
		switch name {
		case "generate":
			if err := once(d, f.Generate != ""); err != nil {
				return true, err
			}
			f.Generate, err = module.OneArg(d, "generate uuid|<text with placeholders>")
			if err == nil && f.Generate != generateUUID && !strings.Contains(f.Generate, "{") {
				err = d.Errf("'%s' would be the name of all requests: write uuid, or text with placeholders", f.Generate)
			}
			return true, err
		case "trust":
			if err := once(d, f.Trust != ""); err != nil {
				return true, err
			}
			f.Trust, err = module.OneArg(d, "trust on|off")
			if err == nil && f.Trust != trustOn && f.Trust != trustOff {
				err = d.Errf("'%s' is neither on nor off: write 'trust on|off', or leave it out to trust trusted_proxies", f.Trust)
			}
			return true, err
		}
		return false, nil
	})
}

// Interface guards
var (
	_ EarlyRequestFilter    = (*RequestID)(nil)
	_ ResponseFilter        = (*RequestID)(nil)
	_ caddy.Provisioner     = (*RequestID)(nil)
	_ caddy.Validator       = (*RequestID)(nil)
	_ caddyfile.Unmarshaler = (*RequestID)(nil)
)
