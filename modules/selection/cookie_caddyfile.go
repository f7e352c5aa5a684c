package selection

import (
	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddylb/caddy-lb/internal/module"
)

// UnmarshalCaddyfile sets up the policy from Caddyfile tokens:
//
//	cookie [<name> [<secret>]] {
//		secret      <secret>
//		format      hmac|plain|signed
//		fallback    <policy>
//		max_age     <duration>
//		secure      on|off
//		same_site   lax|strict|none
//		path        <path>
//		domain      <domain>
//		http_only   on|off
//		partitioned
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
		known, err := c.unmarshalOption(d)
		if !known {
			err = c.unmarshalAttribute(d)
		}
		if err != nil {
			return err
		}
	}
	if err := c.Validate(); err != nil {
		return d.WrapErr(err)
	}
	return nil
}

// unmarshalAttribute parses the option that d stands on, one about the attributes of the cookie.
func (c *Cookie) unmarshalAttribute(d *caddyfile.Dispenser) error {
	switch d.Val() {
	case "max_age":
		return c.unmarshalMaxAge(d)
	case "secure":
		return setSwitch(d, &c.Secure)
	case "same_site":
		return setOnce(d, &c.SameSite, "same_site lax|strict|none")
	case "path":
		return setOnce(d, &c.Path, "path <path>")
	case "domain":
		return setOnce(d, &c.Domain, "domain <domain>")
	case "http_only":
		return setSwitch(d, &c.HTTPOnly)
	case "partitioned":
		if c.Partitioned {
			return d.Err("partitioned is set already: write it once")
		}
		c.Partitioned = true
		return module.NoMore(d, "partitioned")
	}
	return module.Unknown(d, "cookie",
		"fallback", "max_age", "secret", "format", "secure", "same_site", "path", "domain", "http_only", "partitioned")
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

// setSwitch parses the option that d stands on, which is on or off, into value, which must not be set already.
func setSwitch(d *caddyfile.Dispenser, value **bool) error {
	option := d.Val()
	if *value != nil {
		return d.Errf("%s is set already: write it once", option)
	}
	text, err := module.OneArg(d, option+" on|off")
	if err != nil {
		return err
	}
	if text != "on" && text != "off" {
		return d.Errf("invalid %s '%s': write '%[1]s on' or '%[1]s off'", option, text)
	}
	on := text == "on"
	*value = &on
	return nil
}
