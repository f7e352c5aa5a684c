package selection

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"golang.org/x/net/http/httpguts"

	"github.com/caddylb/caddy-lb/internal/module"
	"github.com/caddylb/caddy-lb/lb"
)

func init() {
	caddy.RegisterModule(StickyHeader{})
}

// StickyHeader keeps a client on the backend that a header field of its requests names, as [Cookie] does, for
// clients that keep no cookies. The response carries the field when the client has to learn a backend: when it
// named none, or another one serves it; the client sends the last value that it was given. That is how Envoy's
// stateful sessions do it.
type StickyHeader struct {
	// Field is the name of the header field, in requests and responses. It has to be given, and backends should
	// not send it themselves.
	Field string `json:"field,omitempty"`

	Stickiness
}

// CaddyModule returns the Caddy module information.
func (StickyHeader) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: Namespace + ".sticky_header", New: func() caddy.Module { return new(StickyHeader) }}
}

// Provision implements [caddy.Provisioner].
func (s *StickyHeader) Provision(ctx caddy.Context) error { return s.provision(ctx, s) }

// fieldsTaken have a meaning that the name of a backend would spoil.
var fieldsTaken = []string{
	"connection", "content-length", "content-type", "cookie", "date", "host", "keep-alive", "location", "set-cookie", "te",
	"trailer", "transfer-encoding", "upgrade",
}

// Validate implements [caddy.Validator].
func (s *StickyHeader) Validate() error {
	if !httpguts.ValidHeaderFieldName(s.Field) {
		return fmt.Errorf("sticky_header: '%s' cannot be the name of a header field: write one such as X-Backend", s.Field)
	}
	if slices.Contains(fieldsTaken, strings.ToLower(s.Field)) {
		return fmt.Errorf("sticky_header: %s has a meaning of its own: write a field such as X-Backend", s.Field)
	}
	if err := s.check(); err != nil {
		return fmt.Errorf("sticky_header: %w", err)
	}
	return nil
}

// NewPicker implements [lb.Policy].
func (s *StickyHeader) NewPicker(tier *lb.Tier, prev lb.Picker) (lb.Picker, error) {
	return newStickyPicker(&s.Stickiness, headerCarrier(http.CanonicalHeaderKey(s.Field)), tier, prev)
}

// UnmarshalCaddyfile sets up the policy from Caddyfile tokens:
//
//	sticky_header <field> {
//		secret   <secret>
//		format   hmac|plain|signed
//		fallback <policy>
//	}
func (s *StickyHeader) UnmarshalCaddyfile(d *caddyfile.Dispenser) (err error) {
	d.Next()
	if s.Field, err = module.OneArg(d, "sticky_header <field>"); err != nil {
		return err
	}
	for d.NextBlock(0) {
		known, err := s.unmarshalOption(d)
		if err != nil {
			return err
		}
		if !known {
			return module.Unknown(d, "sticky_header", "secret", "format", "fallback")
		}
	}
	if err := s.Validate(); err != nil {
		return d.WrapErr(err)
	}
	return nil
}

// headerCarrier carries names in the header field of this name, which is in canonical form.
type headerCarrier string

func (f headerCarrier) find(r *http.Request, names *stickyNames) (member int, ok bool) {
	for _, value := range r.Header[string(f)] {
		if member, ok = names.find(value); ok {
			break
		}
	}
	return member, ok
}

func (f headerCarrier) put(r *Request, name string) { r.Writer.Header()[string(f)] = []string{name} }

func (f headerCarrier) drop(h http.Header) { delete(h, string(f)) }

// Interface guards.
var (
	_ lb.Policy             = (*StickyHeader)(nil)
	_ Keyer                 = (*StickyHeader)(nil)
	_ caddy.Provisioner     = (*StickyHeader)(nil)
	_ caddy.Validator       = (*StickyHeader)(nil)
	_ caddyfile.Unmarshaler = (*StickyHeader)(nil)
)
