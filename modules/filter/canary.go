package filter

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/cespare/xxhash/v2"
)

func init() {
	caddy.RegisterModule(new(Canary))
}

// Canary sends a share of requests, and those that ask for it, to another pool. With stickiness each client, or each value of a
// placeholder, has a fixed place between 0 and 1, by a hash, and those below the share go: raising it brings more of them there and none
// back. All instances agree on the places. Of several canaries of a handler the last one that takes a request has it.
type Canary struct {
	// Pool is the name of the other pool. Required.
	Pool string `json:"pool"`

	// Percent is the share of requests that go there, from 0 to 100. Default: 0.
	Percent float64 `json:"percent,omitempty"`

	// Headers and Cookies are what requests ask with; one of them suffices. Default: none.
	Headers []Ask `json:"headers,omitempty"`
	Cookies []Ask `json:"cookies,omitempty"`

	// StickyCookie remembers the place of a client in a cookie. Default: none.
	StickyCookie *StickyCookie `json:"sticky_cookie,omitempty"`

	// StickyKey is text with placeholders whose value has a place. Requests for which it is empty are drawn one by one. Only one of
	// StickyCookie and StickyKey can be set. Default: none, every request is drawn.
	StickyKey string `json:"sticky_key,omitempty"`

	draw func() uint64 // where places come from
}

// Ask is a header field or a cookie.
type Ask struct {
	// Name is the name of the field or the cookie. Required.
	Name string `json:"name"`

	// Value is the value it has to have. Default: any.
	Value string `json:"value,omitempty"`
}

// StickyCookie is a cookie for a client's place.
type StickyCookie struct {
	// Name is the name of the cookie. Required.
	Name string `json:"name"`

	// TTL is how long the client keeps it. Default: until the browser is closed.
	TTL caddy.Duration `json:"ttl,omitempty"`
}

// CaddyModule returns the Caddy module information.
func (*Canary) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.lb_proxy.filters.canary", New: func() caddy.Module { return new(Canary) }}
}

// Provision checks that there is such a pool.
func (f *Canary) Provision(ctx caddy.Context) error {
	f.draw = rand.Uint64
	for i := range f.Headers {
		f.Headers[i].Name = http.CanonicalHeaderKey(f.Headers[i].Name)
	}
	if f.Pool == "" {
		return errors.New("canary: it has no pool")
	}
	app, err := ctx.App("lb")
	if err != nil {
		return err
	}
	if pools, ok := app.(interface{ HasPool(name string) bool }); !ok || !pools.HasPool(f.Pool) {
		return fmt.Errorf("canary: there is no pool %q: define it with 'lb_pool %s { … }' in the global options", f.Pool, f.Pool)
	}
	return nil
}

// Validate implements [caddy.Validator].
func (f *Canary) Validate() error {
	if !(f.Percent >= 0 && f.Percent <= 100) {
		return fmt.Errorf("canary: percent is %v: it has to be from 0 to 100", f.Percent)
	}
	for _, ask := range slices.Concat(f.Headers, f.Cookies) {
		if ask.Name == "" {
			return errors.New("canary: a header or a cookie has no name")
		}
	}
	if f.StickyCookie != nil {
		if f.StickyKey != "" {
			return errors.New("canary: it is sticky by a cookie and by a key: choose one")
		}
		if !validCookieName(f.StickyCookie.Name) {
			return fmt.Errorf("canary: '%s' cannot be the name of a cookie: use letters, digits, - and _", f.StickyCookie.Name)
		}
		if f.StickyCookie.TTL < 0 {
			return fmt.Errorf("canary: the cookie's ttl is %s: it has to be above 0", time.Duration(f.StickyCookie.TTL))
		}
	}
	return nil
}

func validCookieName(name string) bool { return (&http.Cookie{Name: name, Value: "x"}).Valid() == nil }

// Request implements [RequestFilter].
func (f *Canary) Request(x *Context) (answered bool, err error) {
	if f.isAsked(x.Request) || f.place(x) < f.Percent/100 {
		return false, x.UsePool(f.Pool)
	}
	return false, nil
}

// isAsked reports whether the request asks for the other pool.
func (f *Canary) isAsked(r *http.Request) bool {
	for _, ask := range f.Headers {
		if values := r.Header[ask.Name]; len(values) > 0 && (ask.Value == "" || slices.Contains(values, ask.Value)) {
			return true
		}
	}
	for _, ask := range f.Cookies {
		for _, cookie := range r.CookiesNamed(ask.Name) {
			if ask.Value == "" || cookie.Value == ask.Value {
				return true
			}
		}
	}
	return false
}

// place is where the request is between 0, included, and 1.
func (f *Canary) place(x *Context) float64 {
	switch {
	case f.StickyCookie != nil:
		return f.hashed(f.StickyCookie.client(x, f.draw))
	case f.StickyKey != "":
		if key := x.Replacer.ReplaceAll(f.StickyKey, ""); key != "" {
			return f.hashed(key)
		}
	}
	return fraction(f.draw())
}

// hashed is the place of a key. The pool's name is part of it, so that canaries of several pools do not take the same clients.
func (f *Canary) hashed(key string) float64 {
	var d xxhash.Digest
	d.Reset()
	_, _ = d.WriteString(f.Pool)
	_, _ = d.WriteString("\x00")
	_, _ = d.WriteString(key)
	return fraction(d.Sum64())
}

// fraction makes 64 bits a number from 0 to below 1: the upper 53 are what a float64 holds exactly.
func fraction(bits uint64) float64 { return float64(bits>>11) / (1 << 53) }

// client is the name in the client's cookie. One that has no such cookie, or one with something else in it, gets a name.
func (c *StickyCookie) client(x *Context, draw func() uint64) string {
	if cookie, err := x.Request.Cookie(c.Name); err == nil && isClientName(cookie.Value) {
		return cookie.Value
	}
	// 16 digits with a digit above 0 in front, so that all names have the same length.
	name := strconv.FormatUint(draw()|1<<63, 16)
	http.SetCookie(x.Writer, &http.Cookie{
		Name:     c.Name,
		Value:    name,
		Path:     "/",
		MaxAge:   int(time.Duration(c.TTL).Seconds()),
		HttpOnly: true,
		SameSite: http.SameSiteLaxMode,
		Secure:   x.Request.TLS != nil,
	})
	return name
}

// isClientName reports whether a cookie's value is of the form that [StickyCookie.client] gives it.
func isClientName(value string) bool {
	if len(value) != 16 {
		return false
	}
	n, err := strconv.ParseUint(value, 16, 64)
	return err == nil && strconv.FormatUint(n, 16) == value
}

// Interface guards
var (
	_ RequestFilter     = (*Canary)(nil)
	_ caddy.Provisioner = (*Canary)(nil)
	_ caddy.Validator   = (*Canary)(nil)
)
