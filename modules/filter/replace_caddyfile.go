package filter

import (
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

const replaceUsage = "<search> <replacement>"

// UnmarshalCaddyfile sets up the filter from Caddyfile tokens. A text that is the name of an option can stand in the first line.
//
//	replace [<search> <replacement>] {
//		<search>     <replacement>
//		content_type <patterns...>
//	}
func (f *Replace) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next()
	if args := d.RemainingArgs(); len(args) > 0 {
		if err := f.add(d, args); err != nil {
			return err
		}
	}
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		first := d.Val()
		args := d.RemainingArgs()
		var err error
		if first == "content_type" {
			err = f.addTypes(d, args)
		} else {
			err = f.add(d, append([]string{first}, args...))
		}
		if err != nil {
			return err
		}
	}
	if len(f.Pairs) == 0 {
		return d.Errf("replace replaces nothing: write '%s' in its block", replaceUsage)
	}
	return nil
}

func (f *Replace) add(d *caddyfile.Dispenser, args []string) error {
	if len(args) != 2 {
		return d.Errf("'%s' and %d more arguments: write '%s', in quotes where there are spaces", args[0], len(args)-1, replaceUsage)
	}
	pair := ReplacePair{Search: args[0], Replacement: args[1]}
	if err := pair.validate(f.Pairs); err != nil {
		return d.WrapErr(err)
	}
	f.Pairs = append(f.Pairs, pair)
	return nil
}

func (f *Replace) addTypes(d *caddyfile.Dispenser, patterns []string) error {
	if len(patterns) == 0 {
		return d.Err("content_type lacks its patterns: write 'content_type <patterns...>', such as text/* or application/json")
	}
	for _, pattern := range patterns {
		if err := validateType(pattern); err != nil {
			return d.WrapErr(err)
		}
	}
	f.ContentTypes = append(f.ContentTypes, patterns...)
	return nil
}

// Interface guard
var _ caddyfile.Unmarshaler = (*Replace)(nil)
