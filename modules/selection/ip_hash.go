package selection

import (
	"net/http"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddylb/caddy-lb/lb"
)

func init() {
	caddy.RegisterModule(IPHash{})
}

// IPHash picks by highest random weight, as [Rendezvous] does, on the address that the connection comes from.
type IPHash struct{}

// CaddyModule returns the Caddy module information.
func (IPHash) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: Namespace + ".ip_hash", New: func() caddy.Module { return new(IPHash) }}
}

// Key implements [Keyer].
func (IPHash) Key(r *http.Request, _ *caddy.Replacer) string { return withoutPort(r.RemoteAddr) }

// NewPicker implements [lb.Policy].
func (IPHash) NewPicker(tier *lb.Tier, prev lb.Picker) (lb.Picker, error) {
	return newHRW(tier, prev, &Hashing{}), nil
}

// UnmarshalCaddyfile sets up the policy from Caddyfile tokens: ip_hash
func (*IPHash) UnmarshalCaddyfile(d *caddyfile.Dispenser) error { return noArguments(d) }

// Interface guards.
var (
	_ lb.Policy             = (*IPHash)(nil)
	_ Keyer                 = (*IPHash)(nil)
	_ caddyfile.Unmarshaler = (*IPHash)(nil)
)
