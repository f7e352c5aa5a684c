package selection

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddylb/caddy-lb/lb"
)

func init() {
	caddy.RegisterModule(Cookie{})
}

// Values of [Cookie.SameSite].
const (
	SameSiteLax    = "lax"
	SameSiteStrict = "strict"
	SameSiteNone   = "none"
)

// Cookie keeps a client on the backend that its cookie names. A client without one, or whose backend cannot
// serve, is given to a backend by another policy and gets a cookie for it; tried backends leave no cookie
// behind. A drained backend, by an operator or by weight 0, keeps the clients it has as long as it is healthy.
//
// The cookie's attributes keep to RFC 6265bis (draft-ietf-httpbis-rfc6265bis): combinations for which browsers
// would drop the cookie are not sent, or not accepted in the configuration.
type Cookie struct {
	// Name is the name of the cookie. Default: lb.
	Name string `json:"name,omitempty"`

	Stickiness

	// MaxAge is how long the client keeps the cookie; browsers make 400 days of more. Default: until the browser
	// is closed.
	MaxAge caddy.Duration `json:"max_age,omitempty"`

	// Secure has clients send the cookie over HTTPS alone. Default: when the client uses HTTPS, to this server
	// or to a trusted proxy before it.
	Secure *bool `json:"secure,omitempty"`

	// SameSite says whether the cookie goes along when another site leads to this one: "lax", for navigations;
	// "strict", never; "none", always, which holds for cookies with Secure only: others are lax. Default: "none"
	// for cookies with Secure, as reverse_proxy does it, and "lax" for others.
	SameSite string `json:"same_site,omitempty"`

	// Path is the path below which clients send the cookie. Default: /.
	Path string `json:"path,omitempty"`

	// Domain has clients send the cookie to this domain and all below it. Default: only to the host itself.
	Domain string `json:"domain,omitempty"`

	// HTTPOnly hides the cookie from scripts. Default: true.
	HTTPOnly *bool `json:"http_only,omitempty"`

	// Partitioned keeps a cookie for each site that embeds this one (CHIPS). It holds for cookies with Secure only.
	Partitioned bool `json:"partitioned,omitempty"`
}

// CaddyModule returns the Caddy module information.
func (Cookie) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: Namespace + ".cookie", New: func() caddy.Module { return new(Cookie) }}
}

// Provision implements [caddy.Provisioner].
func (c *Cookie) Provision(ctx caddy.Context) error {
	if c.Name == "" {
		c.Name = "lb"
	}
	return c.provision(ctx, c)
}

// Validate implements [caddy.Validator].
func (c *Cookie) Validate() error {
	if c.Name != "" && (&http.Cookie{Name: c.Name, Value: "x"}).Valid() != nil {
		return fmt.Errorf("cookie: '%s' cannot be the name of a cookie: use letters, digits, - and _", c.Name)
	}
	if c.MaxAge < 0 {
		return fmt.Errorf("cookie: max_age is %s: it has to be above 0", time.Duration(c.MaxAge))
	}
	for _, check := range []func() error{c.check, c.checkScope, c.checkSecure, c.checkPrefix} {
		if err := check(); err != nil {
			return fmt.Errorf("cookie: %w", err)
		}
	}
	return nil
}

// maxAttribute is the length in octets above which browsers ignore an attribute (RFC 6265bis, section 5.6).
const maxAttribute = 1024

// checkScope reports a path or domain that browsers would not take as it is meant.
func (c *Cookie) checkScope() error {
	switch {
	case c.Path != "" && !strings.HasPrefix(c.Path, "/"):
		return fmt.Errorf("path '%s' does not begin with /: write '/%[1]s'", c.Path)
	case len(c.Path) > maxAttribute || (&http.Cookie{Name: "x", Path: c.Path}).Valid() != nil:
		return fmt.Errorf("path '%s' cannot be that of a cookie: it has a semicolon or a control character, or more "+
			"than %d characters", c.Path, maxAttribute)
	case len(c.Domain) > maxAttribute || c.Domain != "" && (&http.Cookie{Name: "x", Domain: c.Domain}).Valid() != nil:
		return fmt.Errorf("domain '%s' cannot be that of a cookie: write a host name, such as example.com", c.Domain)
	}
	return nil
}

// checkSecure reports what browsers take from cookies with Secure only.
func (c *Cookie) checkSecure() error {
	switch c.SameSite {
	case "", SameSiteLax, SameSiteStrict, SameSiteNone:
	default:
		return fmt.Errorf("unknown same_site '%s': write lax, strict or none", c.SameSite)
	}
	if c.Secure == nil || *c.Secure {
		return nil
	}
	if c.SameSite == SameSiteNone {
		return errors.New("browsers drop cookies with same_site none that are not secure: remove 'secure off', or write same_site lax")
	}
	if c.Partitioned {
		return errors.New("browsers drop partitioned cookies that are not secure: remove 'secure off' or partitioned")
	}
	return nil
}

// checkPrefix reports a name whose prefix promises what the attributes do not keep (RFC 6265bis, section 4.1.3).
func (c *Cookie) checkPrefix() error {
	insecure := c.Secure != nil && !*c.Secure
	name := strings.ToLower(c.Name)
	switch {
	case strings.HasPrefix(name, "__secure-") && insecure:
		return fmt.Errorf("browsers drop a cookie named %s that is not secure: remove 'secure off'", c.Name)
	case strings.HasPrefix(name, "__host-") && (insecure || c.Domain != "" || c.Path != "" && c.Path != "/"):
		return fmt.Errorf("browsers drop a cookie named %s unless it is secure, has the path / and no domain: remove "+
			"'secure off', path and domain", c.Name)
	}
	return nil
}

// NewPicker implements [lb.Policy].
func (c *Cookie) NewPicker(tier *lb.Tier, prev lb.Picker) (lb.Picker, error) {
	return newStickyPicker(&c.Stickiness, cookieCarrier{c}, tier, prev)
}

// Interface guards.
var (
	_ lb.Policy             = (*Cookie)(nil)
	_ Keyer                 = (*Cookie)(nil)
	_ caddy.Provisioner     = (*Cookie)(nil)
	_ caddy.Validator       = (*Cookie)(nil)
	_ caddyfile.Unmarshaler = (*Cookie)(nil)
)
