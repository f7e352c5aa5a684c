package module

import "github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

// Once has the line of each option of a block whose options may stand there once. The zero value is
// ready for use.
type Once map[string]int

// Note takes the option that d stands on. It returns an error if that option was there before.
func (o *Once) Note(d *caddyfile.Dispenser) error {
	option := d.Val()
	if line, twice := (*o)[option]; twice {
		return d.Errf("%s is there already, at line %d: write it once", option, line)
	}
	if *o == nil {
		*o = make(Once)
	}
	(*o)[option] = d.Line()
	return nil
}
