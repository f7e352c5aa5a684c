package healthcheck

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/dustin/go-humanize"

	"github.com/caddylb/caddy-lb/internal/module"
)

// httpOptions are the options of [HTTP], for error texts.
var httpOptions = append([]string{
	"method", "host", "header", "body", "scheme", "upstream", "expect_status", "expect_header", "expect_body",
	"expect", "follow_redirects", "max_body", "reuse_connection",
}, tlsOptions...)

// UnmarshalCaddyfile sets up the check from Caddyfile tokens:
//
//	http [<uri>] {
//	    method           <method>
//	    host             <host>
//	    header           <field> <value>
//	    body             <text>
//	    scheme           http|https|h2c
//	    upstream         <host:port>
//	    expect_status    <code|class...>
//	    expect_header    <field> [<value>]
//	    expect_body      <regexp>
//	    expect           <cel_expression>
//	    follow_redirects
//	    max_body         <size>
//	    reuse_connection
//	    tls_server_name  <sni>
//	    insecure_skip_verify
//	    ca               <pem_files...>
//	    proxy_protocol   v1|v2
//	}
func (c *HTTP) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next()
	if d.NextArg() {
		c.URI = d.Val()
		if _, err := parseURI(c.URI); err != nil {
			return d.WrapErr(err)
		}
	}
	if d.NextArg() {
		return d.ArgErr()
	}
	var once module.Once
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		if err := noteOption(&once, d); err != nil {
			return err
		}
		option := d.Token()
		known, err := c.unmarshalOption(d)
		if err == nil && !known {
			known, err = c.unmarshalHTTP(d)
		}
		if err != nil {
			return err
		}
		if !known {
			return unknownOption(d, "http", httpOptions...)
		}
		if d.NextArg() {
			return d.ArgErr()
		}
		// A value that cannot be right is reported here, where file and line are known.
		if err := c.dryRun(option.Text); err != nil {
			return d.WrapErr(err)
		}
	}
	return nil
}

// unmarshalHTTP reads one option of the kind itself, and reports whether it was one.
func (c *HTTP) unmarshalHTTP(d *caddyfile.Dispenser) (bool, error) {
	switch d.Val() {
	case "method":
		return true, text(d, &c.Method)
	case "host":
		return true, text(d, &c.Host)
	case "header":
		return true, field(d, &c.Headers, true)
	case "body":
		return true, text(d, &c.Body)
	case "scheme":
		return true, text(d, &c.Scheme)
	case "upstream":
		return true, text(d, &c.Upstream)
	case "expect_status":
		return true, c.unmarshalStatus(d)
	case "expect_header":
		return true, field(d, &c.ExpectHeaders, false)
	case "expect_body":
		return true, text(d, &c.ExpectBody)
	case "expect":
		return true, c.unmarshalExpect(d)
	case "follow_redirects":
		c.FollowRedirects = true
	case "max_body":
		return true, c.unmarshalMaxBody(d)
	case "reuse_connection":
		c.ReuseConnection = true
	default:
		return false, nil
	}
	return true, nil
}

// dryRun compiles a copy that holds what was read so far, in a context that is thrown away.
func (c *HTTP) dryRun(option string) error {
	ctx, cancel := caddy.NewContext(caddy.Context{Context: context.Background()})
	defer cancel()
	trial := *c
	if option != "expect" {
		trial.Expect = "" // costly, and was compiled when it was read
	}
	return trial.compile(ctx)
}

// unmarshalExpect reads an expression, quoted as one argument or written out in several.
func (c *HTTP) unmarshalExpect(d *caddyfile.Dispenser) error {
	if c.Expect != "" {
		return d.Err("expect stands here twice; combine the expressions into one with &&")
	}
	switch d.CountRemainingArgs() {
	case 0:
		return d.ArgErr()
	case 1:
		d.NextArg()
		c.Expect = expand(d.Val())
	default:
		c.Expect = expand(strings.Join(d.RemainingArgsRaw(), " "))
	}
	return nil
}

func (c *HTTP) unmarshalStatus(d *caddyfile.Dispenser) error {
	args := d.RemainingArgs()
	if len(args) == 0 {
		return d.ArgErr()
	}
	for _, arg := range args {
		digits := arg
		if class, ok := strings.CutSuffix(strings.ToLower(arg), "xx"); ok && len(class) == 1 {
			digits = class
		}
		code, err := strconv.Atoi(digits)
		if err != nil {
			return d.Errf("expect_status: %q is no status; write codes and classes, 200 204 3xx for example", arg)
		}
		c.ExpectStatus = append(c.ExpectStatus, code)
	}
	return nil
}

func (c *HTTP) unmarshalMaxBody(d *caddyfile.Dispenser) error {
	if !d.NextArg() {
		return d.ArgErr()
	}
	size, err := humanize.ParseBytes(d.Val())
	if err != nil || size == 0 || size > 1<<31 {
		return d.Errf("max_body is %q; write a size up to 2GiB, 64KiB for example", d.Val())
	}
	c.MaxBody = int64(size)
	return nil
}

// field reads a header field and its value.
func field(d *caddyfile.Dispenser, into *http.Header, needValue bool) error {
	args := d.RemainingArgs()
	if len(args) == 0 || len(args) > 2 || needValue && len(args) != 2 {
		return d.ArgErr()
	}
	if *into == nil {
		*into = make(http.Header)
	}
	name := args[0]
	if !strings.Contains(name, "{") {
		name = http.CanonicalHeaderKey(name)
	}
	values := slices.Clone(args[1:])
	for i := range values {
		values[i] = expand(values[i])
	}
	(*into)[name] = append((*into)[name], values...)
	if (*into)[name] == nil {
		(*into)[name] = []string{}
	}
	return nil
}
