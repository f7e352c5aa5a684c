package lbproxy

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyevents"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/caddylb/caddy-lb/internal/module"
)

func init() {
	caddy.RegisterModule(new(Clients))
}

// Clients is how servers with an lb_proxy serve their clients.
type Clients struct {
	// Engine is what serves HTTP/1.1: "own" for this suite's server, which costs less than that of net/http and keeps connections
	// over a reload, or "net/http" for Caddy's usual one. Default: own.
	Engine string `json:"engine,omitempty"`

	logger *zap.Logger

	mu       sync.Mutex
	fronts   map[*caddyhttp.Server]*front
	standard map[*caddyhttp.Server]bool // that net/http serves
}

// The values of [Clients.Engine].
const (
	engineOwn     = "own"
	engineNetHTTP = "net/http"
)

// CaddyModule returns the Caddy module information.
func (*Clients) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "lb_clients",
		New: func() caddy.Module { return new(Clients) },
	}
}

// Provision checks the configuration.
func (c *Clients) Provision(ctx caddy.Context) error {
	c.logger = ctx.Logger()
	c.fronts, c.standard = make(map[*caddyhttp.Server]*front), make(map[*caddyhttp.Server]bool)
	if err := checkEngine(c.Engine); err != nil {
		return err
	}
	events, err := ctx.App("events")
	if err != nil {
		return err
	}
	return events.(*caddyevents.App).On("stopping", c)
}

// Handle is called before the configuration's apps are stopped, which has no order: those who have reached its servers
// are given time to ask, while further ones go to the servers of the next configuration.
func (c *Clients) Handle(context.Context, caddy.Event) error {
	var left []*front
	by := time.Now().Add(emptyTime)
	for _, f := range c.fronts {
		if fronts.listens(f) && closeListeners(f.server, by) {
			left = append(left, f)
		}
	}
	by = time.Now().Add(arrivalTime)
	for _, f := range left {
		f.arrivals.wait(by)
	}
	return nil
}

func checkEngine(engine string) error {
	switch engine {
	case "", engineOwn, engineNetHTTP:
		return nil
	}
	return fmt.Errorf("there is no engine %q for clients: it is %s, which is the default, or %s", engine, engineOwn, engineNetHTTP)
}

// serveClients has the clients of the server that a handler is provisioned for served as configured.
func serveClients(ctx caddy.Context) error {
	server, ok := ctx.Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server)
	if !ok {
		return nil // the handler is used on its own
	}
	mod, err := ctx.App("lb_clients")
	if err != nil {
		return err
	}
	c := mod.(*Clients)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.Engine == engineNetHTTP {
		if !c.standard[server] {
			c.standard[server] = true
			endAmbiguous(server)
		}
		return nil
	}
	if c.fronts[server] == nil {
		c.fronts[server] = newFront(server, c.logger)
	}
	return nil
}

// Start makes the servers known to those that they replace.
func (c *Clients) Start() error {
	for _, f := range c.fronts {
		fronts.enter(f)
	}
	return nil
}

// Stop hands connections over to the configuration that replaces this one.
func (c *Clients) Stop() error {
	for _, f := range c.fronts {
		f.handOver()
	}
	return nil
}

// Cleanup forgets the servers.
func (c *Clients) Cleanup() error {
	for _, f := range c.fronts {
		fronts.drop(f)
	}
	return nil
}

// parseClients parses the global option lb_clients. Syntax:
//
//	lb_clients {
//	    engine own|net/http
//	}
func parseClients(d *caddyfile.Dispenser, existing any) (any, error) {
	d.Next() // consume the option
	if existing != nil {
		return nil, d.Err("lb_clients stands twice: put all of its options into one block")
	}
	c := new(Clients)
	if d.NextArg() {
		return nil, d.ArgErr()
	}
	var once module.Once
	for d.NextBlock(0) {
		if err := once.Note(d); err != nil {
			return nil, err
		}
		switch d.Val() {
		case "engine":
			if !d.AllArgs(&c.Engine) {
				return nil, d.ArgErr()
			}
			if err := checkEngine(c.Engine); err != nil {
				return nil, d.WrapErr(err)
			}
		default:
			return nil, module.Unknown(d, "lb_clients", "engine")
		}
	}
	return httpcaddyfile.App{Name: "lb_clients", Value: caddyconfig.JSON(c, nil)}, nil
}

// Interface guards
var (
	_ caddy.App           = (*Clients)(nil)
	_ caddy.Provisioner   = (*Clients)(nil)
	_ caddy.CleanerUpper  = (*Clients)(nil)
	_ caddyevents.Handler = (*Clients)(nil)
)
