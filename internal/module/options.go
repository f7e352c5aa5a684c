// Package module is what the modules of this suite do alike with Caddy: they read options of a Caddyfile, and register metrics.
package module

import "github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

// NoMore returns an error if an argument is left on the line; usage is how the line has to look.
func NoMore(d *caddyfile.Dispenser, usage string) error {
	if d.NextArg() {
		return d.Errf("unexpected argument '%s': write '%s'", d.Val(), usage)
	}
	return nil
}

// OneArg parses the single argument of the option that d stands on; usage is how the line has to look.
func OneArg(d *caddyfile.Dispenser, usage string) (string, error) {
	if !d.NextArg() {
		return "", d.Errf("%s lacks its value: write '%s'", d.Val(), usage)
	}
	value := d.Val()
	return value, NoMore(d, usage)
}
