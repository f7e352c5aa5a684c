package selection

import (
	"net/http"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddylb/caddy-lb/lb"
)

func init() {
	caddy.RegisterModule(URIHash{})
}

// URIHash picks by highest random weight, as [Rendezvous] does, on the URI of the request line: path and query.
type URIHash struct{}

// CaddyModule returns the Caddy module information.
func (URIHash) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: Namespace + ".uri_hash", New: func() caddy.Module { return new(URIHash) }}
}

// Key implements [Keyer].
func (URIHash) Key(r *http.Request, _ *caddy.Replacer) string { return r.RequestURI }

// NewPicker implements [lb.Policy].
func (URIHash) NewPicker(tier *lb.Tier, prev lb.Picker) (lb.Picker, error) {
	return newHRW(tier, prev, &Hashing{}), nil
}

// UnmarshalCaddyfile sets up the policy from Caddyfile tokens: uri_hash
func (*URIHash) UnmarshalCaddyfile(d *caddyfile.Dispenser) error { return noArguments(d) }

// Interface guards.
var (
	_ lb.Policy             = (*URIHash)(nil)
	_ Keyer                 = (*URIHash)(nil)
	_ caddyfile.Unmarshaler = (*URIHash)(nil)
)
