package selection

import (
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddylb/caddy-lb/internal/module"
	"github.com/caddylb/caddy-lb/lb"
)

func init() {
	caddy.RegisterModule(Cookie{})
}

// Cookie keeps a client on the backend that its cookie names. A client without one, or whose backend cannot
// serve, is given to a backend by another policy and gets a cookie for it; tried backends leave no cookie
// behind. A drained backend, by an operator or by weight 0, keeps the clients it has as long as it is healthy.
//
// The cookie's value is the HMAC-SHA256 of the backend's address under the secret, in hexadecimal, as Caddy's
// reverse_proxy makes it.
type Cookie struct {
	// Name is the name of the cookie. Default: lb.
	Name string `json:"name,omitempty"`

	// Secret is the key of the HMAC, so that clients can neither read nor choose their backend. Default: none.
	Secret string `json:"secret,omitempty"`

	// MaxAge is how long the client keeps the cookie. Default: until the browser is closed.
	MaxAge caddy.Duration `json:"max_age,omitempty"`

	// FallbackRaw is the policy for clients without a backend. Default: random.
	FallbackRaw json.RawMessage `json:"fallback,omitempty" caddy:"namespace=http.lb_proxy.selection inline_key=policy"`

	fallback lb.Policy
}

// CaddyModule returns the Caddy module information.
func (Cookie) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: Namespace + ".cookie", New: func() caddy.Module { return new(Cookie) }}
}

// Provision implements [caddy.Provisioner].
func (c *Cookie) Provision(ctx caddy.Context) (err error) {
	if c.Name == "" {
		c.Name = "lb"
	}
	c.fallback, err = loadFallback(ctx, c, c.FallbackRaw)
	return err
}

// Validate implements [caddy.Validator].
func (c *Cookie) Validate() error {
	if (&http.Cookie{Name: c.Name, Value: "x"}).Valid() != nil {
		return fmt.Errorf("cookie: '%s' cannot be the name of a cookie: use letters, digits, - and _", c.Name)
	}
	if c.MaxAge < 0 {
		return fmt.Errorf("cookie: max_age is %s: it has to be above 0", time.Duration(c.MaxAge))
	}
	return nil
}

// Key implements [Keyer] for the fallback.
func (c *Cookie) Key(r *http.Request, repl *caddy.Replacer) string { return keyOf(c.fallback, r, repl) }

// NewPicker implements [lb.Policy].
func (c *Cookie) NewPicker(tier *lb.Tier, prev lb.Picker) (lb.Picker, error) {
	p := &cookiePicker{policy: c, tier: tier}
	var oldFallback lb.Picker
	if old, ok := prev.(*cookiePicker); ok {
		oldFallback = old.fallback
		if old.tier.Generation == tier.Generation {
			p.names = old.names
		}
	}
	var err error
	if p.fallback, err = c.fallback.NewPicker(tier, oldFallback); err != nil {
		return nil, fmt.Errorf("fallback: %w", err)
	}
	if p.names == nil {
		p.names = newCookieNames(c.Secret, tier.Members)
	}
	return p, nil
}

// UnmarshalCaddyfile sets up the policy from Caddyfile tokens:
//
//	cookie [<name> [<secret>]] {
//		fallback <policy>
//		max_age  <duration>
//	}
func (c *Cookie) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next()
	args := d.RemainingArgs()
	if len(args) > 2 {
		return d.Errf("unexpected argument '%s': write 'cookie [<name> [<secret>]]'", args[2])
	}
	if len(args) > 0 {
		c.Name = args[0]
	}
	if len(args) > 1 {
		c.Secret = args[1]
	}
	for d.NextBlock(0) {
		switch d.Val() {
		case "fallback":
			if err := unmarshalFallback(d, &c.FallbackRaw); err != nil {
				return err
			}
		case "max_age":
			if err := c.unmarshalMaxAge(d); err != nil {
				return err
			}
		default:
			return d.Errf("unrecognized option '%s': write fallback <policy> or max_age <duration>", d.Val())
		}
	}
	return nil
}

func (c *Cookie) unmarshalMaxAge(d *caddyfile.Dispenser) error {
	if c.MaxAge != 0 {
		return d.Err("max_age is set already: write it once")
	}
	text, err := module.OneArg(d, "max_age <duration>")
	if err != nil {
		return err
	}
	age, err := caddy.ParseDuration(text)
	if err != nil || age <= 0 {
		return d.Errf("invalid max_age '%s': write a duration above 0, such as 24h", text)
	}
	c.MaxAge = caddy.Duration(age)
	return nil
}

// Interface guards.
var (
	_ lb.Policy             = (*Cookie)(nil)
	_ Keyer                 = (*Cookie)(nil)
	_ caddy.Provisioner     = (*Cookie)(nil)
	_ caddy.Validator       = (*Cookie)(nil)
	_ caddyfile.Unmarshaler = (*Cookie)(nil)
)
