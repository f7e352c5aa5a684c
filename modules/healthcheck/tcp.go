package healthcheck

import (
	"context"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

func init() {
	caddy.RegisterModule(new(TCP))
}

// TCP passes when the backend accepts a connection, which is closed at once. Nothing is sent, except a PROXY
// header if one is asked for.
type TCP struct {
	connector
}

// CaddyModule returns the Caddy module information.
func (*TCP) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: Namespace + ".tcp", New: func() caddy.Module { return new(TCP) }}
}

// Validate checks the options.
func (c *TCP) Validate() error { return c.validate() }

// Check implements [Checker].
func (c *TCP) Check(ctx context.Context, t Target) error {
	conn, err := c.dial(ctx, t.Address)
	if err != nil {
		return err
	}
	return conn.Close()
}

// UnmarshalCaddyfile sets up the check from Caddyfile tokens:
//
//	tcp {
//	    proxy_protocol v1|v2
//	}
func (c *TCP) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next()
	if d.NextArg() {
		return d.ArgErr()
	}
	return unmarshalBlock(d, c.unmarshalOption, "tcp", "proxy_protocol")
}

// Interface guards.
var (
	_ Checker               = (*TCP)(nil)
	_ Inheritor             = (*TCP)(nil)
	_ caddy.Validator       = (*TCP)(nil)
	_ caddyfile.Unmarshaler = (*TCP)(nil)
)
