package healthcheck

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddylb/caddy-lb/internal/module"
)

func init() {
	caddy.RegisterModule(new(DNS))
}

// DNS passes when a name resolves to at least one address. It does not look at the backend itself: it is for
// backends that are of use only while a name can be resolved, and an example of a check of one's own.
type DNS struct {
	// Name is the name to look up. End it in a dot to keep the system's search list out of it.
	Name string `json:"name"`

	// Resolver is the address, ip:port, of the name server to ask. Default: the system's resolver.
	Resolver string `json:"resolver,omitempty"`

	resolver *net.Resolver
}

// CaddyModule returns the Caddy module information.
func (*DNS) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: Namespace + ".dns", New: func() caddy.Module { return new(DNS) }}
}

// Provision sets up the resolver.
func (c *DNS) Provision(caddy.Context) error {
	if c.Name == "" {
		return errors.New("dns: no name is given")
	}
	c.resolver = net.DefaultResolver
	if c.Resolver == "" {
		return nil
	}
	if err := c.validateResolver(); err != nil {
		return err
	}
	c.resolver = &net.Resolver{
		PreferGo: true,
		Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
			var d net.Dialer
			conn, err := d.DialContext(ctx, network, c.Resolver)
			if err != nil {
				return nil, err
			}
			// The resolver itself goes on reading for seconds after the check has timed out.
			context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
			return conn, nil
		},
	}
	return nil
}

func (c *DNS) validateResolver() error {
	if _, _, err := net.SplitHostPort(c.Resolver); err != nil {
		return fmt.Errorf("resolver is %q; write ip:port, 10.0.0.53:53 for example", c.Resolver)
	}
	return nil
}

// Check implements [Checker].
func (c *DNS) Check(ctx context.Context, _ Target) error {
	addrs, err := c.resolver.LookupNetIP(ctx, "ip", c.Name)
	if err != nil {
		// The resolver names the system's server, whoever was asked.
		var failed *net.DNSError
		if errors.As(err, &failed) && c.Resolver != "" {
			failed.Server = c.Resolver
		}
		return err
	}
	if len(addrs) == 0 {
		return fmt.Errorf("%s has no address", c.Name)
	}
	return nil
}

// UnmarshalCaddyfile sets up the check from Caddyfile tokens:
//
//	dns <name> {
//	    resolver <ip:port>
//	}
func (c *DNS) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next()
	if !d.AllArgs(&c.Name) {
		return d.Errf("health_check dns takes one name, health_check dns db.internal for example")
	}
	var once module.Once
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		if err := once.Note(d); err != nil {
			return err
		}
		if d.Val() != "resolver" {
			return unknownOption(d, "dns", "resolver")
		}
		if err := text(d, &c.Resolver); err != nil {
			return err
		}
		if err := c.validateResolver(); err != nil {
			return d.WrapErr(err)
		}
		if d.NextArg() {
			return d.ArgErr()
		}
	}
	return nil
}

// Interface guards.
var (
	_ Checker               = (*DNS)(nil)
	_ caddy.Provisioner     = (*DNS)(nil)
	_ caddyfile.Unmarshaler = (*DNS)(nil)
)
