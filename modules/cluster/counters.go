package cluster

import (
	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddylb/caddy-lb/lb"
)

func init() {
	caddy.RegisterModule(new(Counters))
}

// Counters are the counters of a Redis for one limit, where no Redis is shared by the whole configuration, or another one is to be used.
// Equal options share their connections, with each other, with [App], and over reloads.
type Counters struct {
	Options

	shared
}

// CaddyModule returns the Caddy module information.
func (*Counters) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "lb.counters.redis",
		New: func() caddy.Module { return new(Counters) },
	}
}

// Provision checks the options and connects. A Redis that does not answer is an error only if it is required.
func (c *Counters) Provision(ctx caddy.Context) error {
	return c.open(ctx, &c.Options, "lb.counters.redis")
}

// Cleanup gives the connection back.
func (c *Counters) Cleanup() error { return c.close() }

// UnmarshalCaddyfile sets up the counters from Caddyfile tokens. The first one, whatever it says, is the name of the option that they
// stand in; the rest is as in the global option lb_cluster:
//
//	storage redis://[user:password@]host:port[/db] {
//	    <options of lb_cluster>
//	}
func (c *Counters) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	return c.Options.UnmarshalCaddyfile(d)
}

// Interface guards
var (
	_ caddy.Provisioner     = (*Counters)(nil)
	_ caddy.CleanerUpper    = (*Counters)(nil)
	_ caddyfile.Unmarshaler = (*Counters)(nil)
	_ lb.SharedCounters     = (*Counters)(nil)
)
