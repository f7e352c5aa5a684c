package module

import (
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
)

// RefuseInSite is the directive of the name of a global option: its error says where the option
// belongs.
func RefuseInSite(helper httpcaddyfile.Helper) ([]httpcaddyfile.ConfigValue, error) {
	helper.Next()
	return nil, GlobalOnly(helper.Dispenser)
}

// GlobalOnly is the error for a global option that stands elsewhere. d stands on its name.
func GlobalOnly(d *caddyfile.Dispenser) error {
	return d.Errf("%s is a global option: move it into the block without an address at the top of the file", d.Val())
}
