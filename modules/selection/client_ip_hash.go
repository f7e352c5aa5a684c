package selection

import (
	"net/http"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddylb/caddy-lb/lb"
)

func init() {
	caddy.RegisterModule(ClientIPHash{})
}

// ClientIPHash picks by highest random weight, as [Rendezvous] does, on the address of the client as the HTTP
// app's trusted_proxies make it out.
type ClientIPHash struct{}

// CaddyModule returns the Caddy module information.
func (ClientIPHash) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: Namespace + ".client_ip_hash", New: func() caddy.Module { return new(ClientIPHash) }}
}

// Key implements [Keyer].
func (ClientIPHash) Key(r *http.Request, _ *caddy.Replacer) string { return clientIP(r) }

// NewPicker implements [lb.Policy].
func (ClientIPHash) NewPicker(tier *lb.Tier, prev lb.Picker) (lb.Picker, error) {
	return newHRW(tier, prev, &Hashing{}), nil
}

// UnmarshalCaddyfile sets up the policy from Caddyfile tokens: client_ip_hash
func (*ClientIPHash) UnmarshalCaddyfile(d *caddyfile.Dispenser) error { return noArguments(d) }

// clientIP is the address of the client that Caddy's server has found out, or the connection's where none was.
func clientIP(r *http.Request) string {
	if address, ok := caddyhttp.GetVar(r.Context(), caddyhttp.ClientIPVarKey).(string); ok && address != "" {
		return withoutPort(address)
	}
	return withoutPort(r.RemoteAddr)
}

// Interface guards.
var (
	_ lb.Policy             = (*ClientIPHash)(nil)
	_ Keyer                 = (*ClientIPHash)(nil)
	_ caddyfile.Unmarshaler = (*ClientIPHash)(nil)
)
