package lbproxy

import (
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"

	"github.com/caddylb/caddy-lb/internal/module"
)

func init() {
	httpcaddyfile.RegisterDirective("lb_proxy", parseDirective)
	for _, option := range []string{"lb_pool", "lb_clients"} {
		httpcaddyfile.RegisterDirective(option, module.RefuseInSite)
	}
}

// parseDirective makes a route of an lb_proxy directive, as
// [httpcaddyfile.RegisterHandlerDirective] does. Errors about its matcher have their place, and the
// route is compared with the others of its block.
func parseDirective(helper httpcaddyfile.Helper) ([]httpcaddyfile.ConfigValue, error) {
	if !helper.Next() {
		return nil, helper.ArgErr()
	}
	directive := here(helper.Dispenser)
	matchers, err := helper.ExtractMatcherSet()
	if err != nil {
		if strings.HasPrefix(err.Error(), "unrecognized matcher name") {
			return nil, directive.Errf("%w: define it in this site, or in a block around, with '@<name> { … }'", err)
		}
		return nil, directive.WrapErr(err)
	}
	handler, err := parseHandler(helper)
	if err != nil {
		return nil, err
	}
	handler.warnUnreachable(helper, directive, matchers == nil)
	return helper.NewRoute(matchers, handler), nil
}
