package filter

import (
	"math"
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/dustin/go-humanize"

	"github.com/caddylb/caddy-lb/internal/module"
)

// unmarshalBlock reads the options in a filter's block. option parses the one that d stands on, and reports whether there is such an
// option; options names those there are.
func unmarshalBlock(d *caddyfile.Dispenser, filter, options string, option func(name string) (known bool, err error)) error {
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		name := d.Val()
		known, err := option(name)
		if err != nil {
			return err
		}
		if !known {
			if guess := module.Closest(name, firstWords(options)...); guess != "" {
				options = "did you mean " + guess + "?"
			} else {
				options = "write " + options
			}
			return d.Errf("there is no option '%s' of the filter %s: %s", name, filter, options)
		}
	}
	return nil
}

// firstWords are the names of the options in a text that has them with their arguments.
func firstWords(options string) []string {
	var names []string
	for part := range strings.SplitSeq(strings.ReplaceAll(options, " or ", ", "), ",") {
		if fields := strings.Fields(part); len(fields) > 0 {
			names = append(names, fields[0])
		}
	}
	return names
}

// once returns an error if the option that d stands on was there before.
func once(d *caddyfile.Dispenser, set bool) error {
	if set {
		return d.Errf("%s is set already: write it once", d.Val())
	}
	return nil
}

// parseSize reads a number of bytes above 0 as people write it: 500, 64KiB, 10MB.
func parseSize(text string) (n int64, ok bool) {
	size, err := humanize.ParseBytes(text)
	if err != nil || size == 0 || size > math.MaxInt64 {
		return 0, false
	}
	return int64(size), true
}

// sizeArg parses the single argument of the option that d stands on as a size, which was 0 if the option was not there before.
func sizeArg(d *caddyfile.Dispenser, size *int64, usage string) error {
	if err := once(d, *size != 0); err != nil {
		return err
	}
	text, err := module.OneArg(d, usage)
	if err != nil {
		return err
	}
	n, ok := parseSize(text)
	if !ok {
		return d.Errf("'%s' is no size above 0: write '%s', such as 64KiB or 10MB", text, usage)
	}
	*size = n
	return nil
}
