package selection

import (
	"encoding/json"
	"errors"
	"net/http"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddylb/caddy-lb/lb"
)

func init() {
	caddy.RegisterModule(Header{})
}

// Header picks by highest random weight, as [Rendezvous] does, on the first value of a header field, and by
// another policy where the request has none. Host is the host that the request is for.
type Header struct {
	// Field is the name of the header field. It has to be given.
	Field string `json:"field,omitempty"`

	// FallbackRaw is the policy for requests without the field. Default: random.
	FallbackRaw json.RawMessage `json:"fallback,omitempty" caddy:"namespace=http.lb_proxy.selection inline_key=policy"`

	fallback lb.Policy
	name     string // Field in canonical form
}

// CaddyModule returns the Caddy module information.
func (Header) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: Namespace + ".header", New: func() caddy.Module { return new(Header) }}
}

// Provision implements [caddy.Provisioner].
func (h *Header) Provision(ctx caddy.Context) (err error) {
	if h.Field == "" {
		return errors.New("header: field is required: give the name of the header field to hash")
	}
	h.name = http.CanonicalHeaderKey(h.Field)
	h.fallback, err = loadFallback(ctx, h, h.FallbackRaw)
	return err
}

// Key implements [Keyer].
func (h *Header) Key(r *http.Request, repl *caddy.Replacer) string {
	if value := h.value(r); value != "" {
		return value
	}
	return keyOf(h.fallback, r, repl)
}

func (h *Header) value(r *http.Request) string {
	if h.name == "Host" && r.Host != "" {
		return r.Host
	}
	if values := r.Header[h.name]; len(values) > 0 {
		return values[0]
	}
	return ""
}

// NewPicker implements [lb.Policy].
func (h *Header) NewPicker(tier *lb.Tier, prev lb.Picker) (lb.Picker, error) {
	return newKeyedPicker(tier, prev, h.fallback, h.value)
}

// UnmarshalCaddyfile sets up the policy from Caddyfile tokens:
//
//	header <field> {
//		fallback <policy>
//	}
func (h *Header) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	return unmarshalKeyed(d, "header <field>", &h.Field, &h.FallbackRaw)
}

// Interface guards.
var (
	_ lb.Policy             = (*Header)(nil)
	_ Keyer                 = (*Header)(nil)
	_ caddy.Provisioner     = (*Header)(nil)
	_ caddyfile.Unmarshaler = (*Header)(nil)
)
