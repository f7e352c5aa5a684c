package healthcheck

import (
	"context"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

func init() {
	caddy.RegisterModule(new(TLS))
}

// TLS passes when the backend accepts a connection and completes a TLS handshake with a certificate that is
// trusted and bears the right name.
type TLS struct {
	tlsConnector
}

// CaddyModule returns the Caddy module information.
func (*TLS) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: Namespace + ".tls", New: func() caddy.Module { return new(TLS) }}
}

// Provision validates the options and reads the certificate authorities.
func (c *TLS) Provision(caddy.Context) error { return c.provision() }

// Check implements [Checker].
func (c *TLS) Check(ctx context.Context, t Target) error {
	conn, err := c.handshake(ctx, t)
	if err != nil {
		return err
	}
	// The handshake is the answer; how the peer takes the closing says nothing more.
	conn.NetConn().Close()
	return nil
}

// UnmarshalCaddyfile sets up the check from Caddyfile tokens:
//
//	tls [<sni>] {
//	    tls_server_name <sni>
//	    insecure_skip_verify
//	    ca <pem_files...>
//	    proxy_protocol v1|v2
//	}
func (c *TLS) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next()
	if d.NextArg() {
		c.ServerName = d.Val()
	}
	if d.NextArg() {
		return d.ArgErr()
	}
	return unmarshalBlock(d, c.unmarshalOption, "tls", tlsOptions...)
}

// Interface guards.
var (
	_ Checker               = (*TLS)(nil)
	_ Inheritor             = (*TLS)(nil)
	_ caddy.Provisioner     = (*TLS)(nil)
	_ caddyfile.Unmarshaler = (*TLS)(nil)
)
