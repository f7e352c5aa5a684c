// Package cluster lets instances of the balancer share what would otherwise hold for each alone: limits of rate, and operators' drains
// and weights. They share it through Redis, and go on by themselves while Redis is away.
package cluster

import (
	"context"
	"errors"
	"fmt"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddylb/caddy-lb/internal/module"
	"github.com/caddylb/caddy-lb/lb"
)

func init() {
	caddy.RegisterModule(new(App))
}

// App is the Redis that the instances of one cluster share. Other modules find it with caddy.Context.AppIfConfigured("lb_cluster") and
// use it as [lb.SharedCounters] and [lb.SharedOverrides].
type App struct {
	Options

	shared
}

// CaddyModule returns the Caddy module information.
func (*App) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "lb_cluster",
		New: func() caddy.Module { return new(App) },
	}
}

// Provision checks the options and connects. A Redis that does not answer is an error only if it is required.
func (a *App) Provision(ctx caddy.Context) error {
	return a.open(ctx, &a.Options, "lb_cluster")
}

// Start does nothing: the connection is there from Provision on, since other modules may count while they are provisioned.
func (a *App) Start() error { return nil }

// Stop does nothing: requests of this configuration may still be counted until Cleanup.
func (a *App) Stop() error { return nil }

// Cleanup gives the connection back.
func (a *App) Cleanup() error { return a.close() }

// shared is a configuration's hold on a client. Modules embed it for what it offers.
type shared struct {
	client *client
}

// errNotProvisioned is for modules that are used before they are provisioned, or after their cleanup.
var errNotProvisioned = errors.New("the cluster's Redis is not open in this configuration")

// Take implements [lb.SharedCounters]. It waits for at most the configured timeout.
func (s *shared) Take(ctx context.Context, key string, limit lb.Limit) (lb.Taken, error) {
	if s.client == nil {
		return lb.Taken{}, errNotProvisioned
	}
	return s.client.take(ctx, key, limit)
}

// Publish implements [lb.SharedOverrides]. It waits for at most the configured timeout.
func (s *shared) Publish(ctx context.Context, o lb.Override) error {
	if s.client == nil {
		return errNotProvisioned
	}
	return s.client.orders.publish(ctx, o)
}

// Subscribe implements [lb.SharedOverrides]. apply is called from one goroutine at a time, first for all that holds, before Subscribe
// returns. It must not call Subscribe or cancel. It may be called for orders of this instance too, and again for what it was called for
// before. When cancel has returned, apply is not called any more.
func (s *shared) Subscribe(apply func(lb.Override)) (cancel func()) {
	if s.client == nil {
		return func() {}
	}
	return s.client.orders.subscribe(apply)
}

// open takes a reference to the client for the options.
func (s *shared) open(ctx caddy.Context, o *Options, name string) error {
	if s.client != nil {
		return errors.New(name + " is provisioned already")
	}
	t, err := o.target()
	if err != nil {
		return o.locate(name, err)
	}
	if s.client, err = acquire(t); err != nil {
		return o.locate(name, err)
	}
	if err := s.client.firstAnswer(ctx); err != nil && o.Required {
		// Cleanup follows, and gives the client back.
		return o.locate(name, fmt.Errorf("%w: start it, or take 'required' away to begin without it", err))
	}
	return module.RegisterMetrics(ctx, collector{})
}

// close gives the client back. It may be called more than once.
func (s *shared) close() error {
	if s.client == nil {
		return nil
	}
	c := s.client
	s.client = nil
	return release(c)
}

// Interface guards
var (
	_ caddy.App          = (*App)(nil)
	_ caddy.Provisioner  = (*App)(nil)
	_ caddy.CleanerUpper = (*App)(nil)
	_ lb.SharedCounters  = (*App)(nil)
	_ lb.SharedOverrides = (*App)(nil)
)
