package cluster

import (
	"fmt"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"

	"github.com/caddylb/caddy-lb/internal/adaptation"
	"github.com/caddylb/caddy-lb/internal/module"
)

func init() {
	httpcaddyfile.RegisterGlobalOption("lb_cluster", parseCluster)
	httpcaddyfile.RegisterDirective("lb_cluster", module.RefuseInSite)
}

// parseCluster parses the global option lb_cluster. Syntax:
//
//	lb_cluster redis://[user:password@]host:port[/db] {
//	    username <text>
//	    password <text>
//	    prefix   <text>
//	    timeout  <duration>
//	    required
//	    tls {
//	        ca                   <pem_file>
//	        server_name          <name>
//	        insecure_skip_verify
//	        client_certificate   <pem_file> <key_file>
//	    }
//	}
func parseCluster(d *caddyfile.Dispenser, existing any) (any, error) {
	if existing != nil {
		d.Next()
		return nil, d.Err("lb_cluster stands twice: a configuration shares one Redis, and a limit with another one has 'storage redis://…'")
	}
	app := new(App)
	if err := app.UnmarshalCaddyfile(d); err != nil {
		return nil, err
	}
	return httpcaddyfile.App{Name: "lb_cluster", Value: caddyconfig.JSON(app, nil)}, nil
}

// UnmarshalCaddyfile sets up the options from Caddyfile tokens; see [App] for the syntax. d stands before the name of the option.
func (o *Options) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // consume the option
	option := d.Val()
	if !d.NextArg() {
		return d.Errf("%s lacks the URL of Redis: write '%s redis://host:6379'", option, option)
	}
	o.URL = d.Val()
	at := fmt.Sprintf("%s:%d", d.File(), d.Line())
	// A URL with placeholders is known at load.
	if !strings.Contains(o.URL, "{") {
		if _, _, err := parseURL(o.URL); err != nil {
			return d.WrapErr(err)
		}
	}
	if d.NextArg() {
		return d.ArgErr()
	}
	var once module.Once
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		if err := once.Note(d); err != nil {
			return err
		}
		if err := o.unmarshalOption(d, option); err != nil {
			return err
		}
	}
	adaptation.Note(o.known(), at)
	return nil
}

// unmarshalOption reads one option of the block.
func (o *Options) unmarshalOption(d *caddyfile.Dispenser, of string) error {
	switch d.Val() {
	case "username":
		return argument(d, &o.Username)
	case "password":
		return argument(d, &o.Password)
	case "prefix":
		if err := argument(d, &o.Prefix); err != nil {
			return err
		}
		if err := checkPrefix(o.Prefix); err != nil {
			return d.WrapErr(err)
		}
	case "timeout":
		var text string
		if err := argument(d, &text); err != nil {
			return err
		}
		timeout, err := caddy.ParseDuration(text)
		if err != nil {
			return d.Errf("timeout is %q: write a length of time, as 50ms", text)
		}
		if err := checkTimeout(timeout); err != nil {
			return d.WrapErr(err)
		}
		o.Timeout = caddy.Duration(timeout)
	case "required":
		o.Required = true
		return nothing(d)
	case "tls":
		if strings.HasPrefix(o.URL, "redis://") {
			return d.WrapErr(errTLSWithout)
		}
		if err := nothing(d); err != nil {
			return err
		}
		o.TLS = new(TLS)
		return o.TLS.unmarshal(d)
	default:
		return module.Unknown(d, of, "username", "password", "prefix", "timeout", "required", "tls")
	}
	return nil
}

// unmarshal reads the block of the option tls.
func (t *TLS) unmarshal(d *caddyfile.Dispenser) error {
	var once module.Once
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		if err := once.Note(d); err != nil {
			return err
		}
		switch d.Val() {
		case "ca":
			if err := argument(d, &t.CA); err != nil {
				return err
			}
		case "server_name":
			if err := argument(d, &t.ServerName); err != nil {
				return err
			}
		case "insecure_skip_verify":
			t.InsecureSkipVerify = true
			if err := nothing(d); err != nil {
				return err
			}
		case "client_certificate":
			if !d.AllArgs(&t.ClientCertificate, &t.ClientKey) {
				return d.Err("client_certificate takes two files: write 'client_certificate <cert.pem> <key.pem>'")
			}
		default:
			return module.Unknown(d, "tls", "ca", "server_name", "insecure_skip_verify", "client_certificate")
		}
	}
	return nil
}

// argument reads the one argument of an option, which must not be empty.
func argument(d *caddyfile.Dispenser, into *string) error {
	name := d.Val()
	if !d.AllArgs(into) || *into == "" {
		return d.Errf("%s takes one argument", name)
	}
	return nil
}

// nothing is for options without arguments.
func nothing(d *caddyfile.Dispenser) error {
	if d.NextArg() {
		return d.ArgErr()
	}
	return nil
}

// Interface guard
var _ caddyfile.Unmarshaler = (*Options)(nil)
