package filter

import (
	"strconv"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddylb/caddy-lb/internal/module"
)

const (
	canaryUsage   = "canary <pool>"
	canaryOptions = "percent <0-100>, header <field> [<value>], cookie <name> [<value>], " + stickyUsage
	stickyUsage   = "sticky cookie <name> [<ttl>] or sticky <placeholder>"
)

// UnmarshalCaddyfile sets up the filter from Caddyfile tokens:
//
//	canary <pool> {
//		percent <0-100>
//		header  <field> [<value>]
//		cookie  <name> [<value>]
//		sticky  cookie <name> [<ttl>]
//		sticky  <placeholder>
//	}
func (f *Canary) UnmarshalCaddyfile(d *caddyfile.Dispenser) (err error) {
	d.Next()
	if f.Pool, err = module.OneArg(d, canaryUsage); err != nil {
		return err
	}
	empty, percent := true, false
	err = unmarshalBlock(d, "canary", canaryOptions, func(name string) (known bool, err error) {
		empty = false
		switch name {
		case "percent":
			if err := once(d, percent); err != nil {
				return true, err
			}
			percent = true
			return true, f.unmarshalPercent(d)
		case "header":
			return true, unmarshalAsk(d, &f.Headers, "header <field> [<value>]")
		case "cookie":
			return true, unmarshalAsk(d, &f.Cookies, "cookie <name> [<value>]")
		case "sticky":
			return true, f.unmarshalSticky(d)
		}
		return false, nil
	})
	if err == nil && empty {
		return d.Errf("canary does not say which requests go to %s: write %s in its block", f.Pool, canaryOptions)
	}
	return err
}

func (f *Canary) unmarshalPercent(d *caddyfile.Dispenser) error {
	text, err := module.OneArg(d, "percent <0-100>")
	if err != nil {
		return err
	}
	f.Percent, err = strconv.ParseFloat(strings.TrimSuffix(text, "%"), 64)
	if err != nil || !(f.Percent >= 0 && f.Percent <= 100) {
		return d.Errf("'%s' is no share: write 'percent <0-100>', such as 5 or 0.5", text)
	}
	return nil
}

func unmarshalAsk(d *caddyfile.Dispenser, asks *[]Ask, usage string) error {
	args := d.RemainingArgs()
	if len(args) == 0 || len(args) > 2 || args[0] == "" {
		return d.Errf("got %d arguments: write '%s'", len(args), usage)
	}
	ask := Ask{Name: args[0]}
	if len(args) == 2 {
		ask.Value = args[1]
	}
	*asks = append(*asks, ask)
	return nil
}

func (f *Canary) unmarshalSticky(d *caddyfile.Dispenser) error {
	if err := once(d, f.StickyCookie != nil || f.StickyKey != ""); err != nil {
		return err
	}
	args := d.RemainingArgs()
	switch {
	case len(args) == 1 && args[0] != "cookie":
		if !strings.Contains(args[0], "{") {
			return d.Errf("'%s' is the same for all requests: write %s", args[0], stickyUsage)
		}
		f.StickyKey = args[0]
		return nil
	case len(args) < 2 || len(args) > 3 || args[0] != "cookie":
		return d.Errf("got '%s': write %s", strings.Join(args, " "), stickyUsage)
	}
	if !validCookieName(args[1]) {
		return d.Errf("'%s' cannot be the name of a cookie: use letters, digits, - and _", args[1])
	}
	f.StickyCookie = &StickyCookie{Name: args[1]}
	if len(args) < 3 {
		return nil
	}
	ttl, err := caddy.ParseDuration(args[2])
	if err != nil || ttl < time.Second {
		return d.Errf("'%s' is no time to keep a cookie: write a duration of a second or more, such as 30d", args[2])
	}
	f.StickyCookie.TTL = caddy.Duration(ttl)
	return nil
}

// Interface guard
var _ caddyfile.Unmarshaler = (*Canary)(nil)
