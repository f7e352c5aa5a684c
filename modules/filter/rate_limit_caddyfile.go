package filter

import (
	"encoding/json"
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddylb/caddy-lb/internal/module"
	"github.com/caddylb/caddy-lb/lb"
)

const (
	rateLimitUsage   = "rate_limit <key> <n>/<s|m|h|duration> [burst <n>]"
	rateLimitOptions = "algorithm token_bucket|sliding_window, burst <n>, exact, sketch, max_keys <n>, name <name>, storage <url>, " +
		"required, local or dry_run"
)

// UnmarshalCaddyfile sets up the filter from Caddyfile tokens:
//
//	rate_limit <key> <n>/<s|m|h|duration> [burst <n>] {
//		algorithm token_bucket|sliding_window
//		burst     <n>
//		exact|sketch
//		max_keys  <n>
//		name      <name>
//		storage   redis://… { … }
//		required
//		local
//		dry_run
//	}
func (f *RateLimit) UnmarshalCaddyfile(d *caddyfile.Dispenser) (err error) {
	d.Next()
	if f.Key, err = unmarshalKey(d, rateLimitUsage); err != nil {
		return err
	}
	if err := f.unmarshalRate(d); err != nil {
		return err
	}
	if d.NextArg() {
		if d.Val() != "burst" {
			return d.Errf("unexpected argument '%s': write '%s'", d.Val(), rateLimitUsage)
		}
		if err := countArg(d, &f.Burst, "burst <n>"); err != nil {
			return err
		}
	}
	head := caddyfile.NewDispenser([]caddyfile.Token{d.Token()}) // for errors about the whole
	head.Next()
	var flags rateLimitFlags
	err = unmarshalBlock(d, "rate_limit", rateLimitOptions, func(name string) (bool, error) { return f.unmarshalOption(d, name, &flags) })
	if err != nil {
		return err
	}
	if err := f.applyFlags(&flags); err != nil {
		return head.WrapErr(err)
	}
	return nil
}

// unmarshalRate parses the second argument.
func (f *RateLimit) unmarshalRate(d *caddyfile.Dispenser) error {
	if !d.NextArg() {
		return d.Errf("the rate is missing: write '%s', such as %s 100/s", rateLimitUsage, f.Key)
	}
	r, err := parseRate(d.Val())
	if err != nil {
		return d.WrapErr(err)
	}
	f.Events, f.Window = r.events, caddy.Duration(r.window)
	return nil
}

// rateLimitFlags are the options that are no fields.
type rateLimitFlags struct{ exact, required bool }

// unmarshalOption parses the option of the block that d stands on.
func (f *RateLimit) unmarshalOption(d *caddyfile.Dispenser, name string, flags *rateLimitFlags) (known bool, err error) {
	switch name {
	case "algorithm":
		return true, textArg(d, &f.Algorithm, "algorithm token_bucket|sliding_window")
	case "burst":
		return true, countArg(d, &f.Burst, "burst <n>")
	case "max_keys":
		n := int64(f.MaxKeys)
		err := countArg(d, &n, "max_keys <n>")
		f.MaxKeys = int(n)
		return true, err
	case "name":
		return true, textArg(d, &f.Name, "name <name>")
	case "storage":
		return true, f.unmarshalStorage(d)
	case "exact":
		return true, flagArg(d, &flags.exact)
	case "sketch":
		return true, flagArg(d, &f.Sketch)
	case "required":
		return true, flagArg(d, &flags.required)
	case "local":
		return true, flagArg(d, &f.Local)
	case "dry_run":
		return true, flagArg(d, &f.DryRun)
	}
	return false, nil
}

// applyFlags checks what was parsed as a whole.
func (f *RateLimit) applyFlags(flags *rateLimitFlags) error {
	if flags.exact && f.Sketch {
		return errExactSketch
	}
	if flags.required {
		if f.StorageRaw == nil {
			return errRequiredWithoutStorage
		}
		var storage map[string]any
		if err := json.Unmarshal(f.StorageRaw, &storage); err != nil {
			return err
		}
		storage["required"] = true
		f.StorageRaw = caddyconfig.JSON(storage, nil)
	}
	checked := *f
	return checked.compile()
}

// unmarshalStorage parses the counters, which the scheme of their URL names.
func (f *RateLimit) unmarshalStorage(d *caddyfile.Dispenser) error {
	const usage = "storage redis://[user:password@]host[:port][/db]"
	if err := once(d, f.StorageRaw != nil); err != nil {
		return err
	}
	segment := d.NextSegment()
	head := caddyfile.NewDispenser(segment)
	head.Next()
	if !head.NextArg() {
		return head.Errf("storage lacks its URL: write '%s'", usage)
	}
	scheme, _, _ := strings.Cut(head.Val(), ":")
	name, ok := countersNamed(scheme)
	if !ok {
		return head.Errf("there are no counters for '%s' in this build: write '%s'", head.Val(), usage)
	}
	whole := caddyfile.NewDispenser(segment)
	whole.Next()
	module, err := caddyfile.UnmarshalModule(whole, "lb.counters."+name)
	if err != nil {
		return err
	}
	if _, ok := module.(lb.SharedCounters); !ok {
		return head.Errf("module lb.counters.%s (%T) does not count", name, module)
	}
	f.StorageRaw = caddyconfig.JSONModuleObject(module, "module", name, nil)
	return nil
}

// countersNamed is the module for the scheme of a URL; rediss, with TLS, is that of redis.
func countersNamed(scheme string) (name string, ok bool) {
	for _, name := range []string{scheme, strings.TrimSuffix(scheme, "s")} {
		if _, err := caddy.GetModule("lb.counters." + name); name != "" && err == nil {
			return name, true
		}
	}
	return "", false
}

// textArg parses the single argument of the option that d stands on, which was empty if the option was not there before.
func textArg(d *caddyfile.Dispenser, text *string, usage string) (err error) {
	if err := once(d, *text != ""); err != nil {
		return err
	}
	*text, err = module.OneArg(d, usage)
	return err
}

// countArg parses the single argument of the option that d stands on as a whole number above 0, which was 0 if the option was not there
// before.
func countArg(d *caddyfile.Dispenser, n *int64, usage string) error {
	if err := once(d, *n != 0); err != nil {
		return err
	}
	text, err := module.OneArg(d, usage)
	if err != nil {
		return err
	}
	value, err := strconv.ParseInt(text, 10, 64)
	if err != nil || value < 1 {
		return d.Errf("'%s' is no whole number above 0: write '%s'", text, usage)
	}
	*n = value
	return nil
}

// flagArg parses the option that d stands on, which has no argument.
func flagArg(d *caddyfile.Dispenser, flag *bool) error {
	if err := once(d, *flag); err != nil {
		return err
	}
	*flag = true
	return module.NoMore(d, d.Val())
}

// Interface guard
var _ caddyfile.Unmarshaler = (*RateLimit)(nil)
