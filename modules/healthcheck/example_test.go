package healthcheck_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddylb/caddy-lb/lb"
	"github.com/caddylb/caddy-lb/modules/healthcheck"
)

func init() {
	caddy.RegisterModule(new(Lookup))
}

// Lookup is a check of one's own: it passes while the backend's own name still leads to the address that is
// being checked. It forgives one failed lookup and keeps a log of changes.
type Lookup struct {
	// Suffix is added to the backend's name, ".internal" for example.
	Suffix string `json:"suffix,omitempty"`

	resolve func(ctx context.Context, host string) ([]string, error)
	changed func(line string)
}

func (*Lookup) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID: healthcheck.Namespace + ".lookup",
		New: func() caddy.Module {
			return &Lookup{resolve: net.DefaultResolver.LookupHost, changed: func(string) {}}
		},
	}
}

// Check looks at one backend. The error it returns is the reason that users see.
func (l *Lookup) Check(ctx context.Context, t healthcheck.Target) error {
	addrs, err := l.resolve(ctx, t.Name+l.Suffix)
	if err != nil {
		return err
	}
	for _, addr := range addrs {
		if addr == t.Address.Host {
			return nil
		}
	}
	return fmt.Errorf("%s leads to %v", t.Name+l.Suffix, addrs)
}

// HealthThreshold is optional: two failed lookups take a backend out, one good one brings it back.
func (l *Lookup) HealthThreshold(_ healthcheck.Target, pass bool) int {
	if pass {
		return 1
	}
	return 2
}

// HealthChanged is optional: it hears of each change.
func (l *Lookup) HealthChanged(t healthcheck.Target, healthy bool, reason error) {
	l.changed(fmt.Sprintf("%s healthy=%v reason=%v", t.Backend, healthy, reason))
}

// UnmarshalCaddyfile reads health_check lookup [<suffix>]; interval, timeout and the like are taken out of the
// block before.
func (l *Lookup) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the kind
	if d.NextArg() {
		l.Suffix = d.Val()
	}
	if d.NextArg() || d.NextBlock(0) {
		return d.ArgErr()
	}
	return nil
}

// Interface guards.
var (
	_ healthcheck.Checker       = (*Lookup)(nil)
	_ healthcheck.Thresholder   = (*Lookup)(nil)
	_ healthcheck.StateObserver = (*Lookup)(nil)
	_ caddyfile.Unmarshaler     = (*Lookup)(nil)
)

func TestCheckOfOnesOwn(t *testing.T) {
	var c healthcheck.Config
	if err := c.UnmarshalCaddyfile(caddyfile.NewTestDispenser("health_check lookup .internal {\n interval 1ms\n jitter off\n}")); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := caddy.NewContext(caddy.Context{Context: context.Background()})
	defer cancel()
	if err := c.Provision(ctx); err != nil {
		t.Fatal(err)
	}

	lookups := 0
	lines := make(chan string, 2)
	l := c.Checker().(*Lookup)
	l.changed = func(line string) { lines <- line }
	l.resolve = func(_ context.Context, host string) ([]string, error) {
		lookups++
		switch {
		case host != "db.internal":
			return nil, errors.New("asked for " + host)
		case lookups == 1: // forgiven
			return nil, errors.New("no answer")
		case lookups == 3 || lookups == 4:
			return []string{"10.0.0.2"}, nil
		}
		return []string{"10.0.0.1"}, nil
	}

	s := &healthcheck.Subscription{Config: &c}
	m := healthcheck.Acquire(&c, healthcheck.Target{
		Address: lb.Address{Scheme: "http", Network: "tcp", Host: "10.0.0.1", Port: "80"},
		Name:    "db",
	})
	m.Attach(s)
	defer m.Release(s)
	for _, want := range []string{
		"10.0.0.1:80 healthy=false reason=db.internal leads to [10.0.0.2]",
		"10.0.0.1:80 healthy=true reason=<nil>",
	} {
		if got := <-lines; got != want {
			t.Errorf("heard %q, want %q", got, want)
		}
	}
}
