package healthcheck

import (
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddylb/caddy-lb/internal/module"
)

// commonOptions are the options that every kind has; [Config.UnmarshalCaddyfile] takes them out of the block.
var commonOptions = []string{
	"interval", "health_check_frequency", "interval_unhealthy", "timeout", "consecutive_success", "passes",
	"consecutive_failure", "fails", "port", "jitter", "sequential", "initial",
}

// UnmarshalCaddyfile reads one health check; d stands on its first token, health_check.
//
//	health_check <kind> [<args...>] {
//	    interval            <duration>   # also: health_check_frequency
//	    interval_unhealthy  <duration>
//	    timeout             <duration>
//	    consecutive_success <n>          # also: passes
//	    consecutive_failure <n>          # also: fails
//	    port                <port>
//	    jitter              <percentage>|<fraction>|off
//	    sequential
//	    initial             healthy|unhealthy|check
//	    <option of the kind...>
//	}
func (c *Config) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	if d.Val() == "" {
		d.Next()
	}
	segment := d.NextSegment()

	head := caddyfile.NewDispenser(segment)
	head.Next()
	if !head.NextArg() {
		return head.Errf("health_check lacks its kind; write one of: %s", strings.Join(kinds(), ", "))
	}
	kind := head.Val()
	if !slices.Contains(kinds(), kind) {
		return head.Errf("unknown health check %q; write one of: %s", kind, strings.Join(kinds(), ", "))
	}
	opening := 2 + head.CountRemainingArgs()

	own, err := c.takeCommon(caddyfile.NewDispenser(segment))
	if err != nil {
		return err
	}
	tokens := slices.Clone(segment[1:opening])
	if len(own) > 0 {
		tokens = append(tokens, segment[opening])
		tokens = append(tokens, own...)
		tokens = append(tokens, segment[len(segment)-1])
	}
	rest := caddyfile.NewDispenser(tokens)
	rest.Next()
	unm, err := caddyfile.UnmarshalModule(rest, Namespace+"."+kind)
	if err != nil {
		return err
	}
	c.CheckRaw = caddyconfig.JSONModuleObject(unm, "kind", kind, nil)
	return nil
}

// takeCommon reads the common options of the block and returns the tokens of all others, which keep the file
// and line that they came from.
func (c *Config) takeCommon(d *caddyfile.Dispenser) (own []caddyfile.Token, err error) {
	d.Next()
	d.RemainingArgs()
	var once module.Once
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		if !slices.Contains(commonOptions, d.Val()) {
			own = append(own, d.NextSegment()...)
			continue
		}
		if err := once.Note(d); err != nil {
			return nil, err
		}
		if err := c.unmarshalCommon(d); err != nil {
			return nil, err
		}
		if d.NextArg() {
			return nil, d.ArgErr()
		}
	}
	return own, nil
}

// unmarshalCommon reads one common option.
func (c *Config) unmarshalCommon(d *caddyfile.Dispenser) error {
	switch name := d.Val(); name {
	case "interval", "health_check_frequency":
		return duration(d, &c.Interval)
	case "interval_unhealthy":
		return duration(d, &c.IntervalUnhealthy)
	case "timeout":
		return duration(d, &c.Timeout)
	case "consecutive_success", "passes":
		return number(d, &c.ConsecutiveSuccess, 1, math.MaxInt32)
	case "consecutive_failure", "fails":
		return number(d, &c.ConsecutiveFailure, 1, math.MaxInt32)
	case "port":
		return number(d, &c.Port, 1, 65535)
	case "jitter":
		return jitter(d, &c.Jitter)
	case "initial":
		if err := text(d, &c.Initial); err != nil {
			return err
		}
		if !slices.Contains([]string{InitialHealthy, InitialUnhealthy, InitialCheck}, c.Initial) {
			return d.Errf("initial is %q; write %s, %s or %s", c.Initial, InitialHealthy, InitialUnhealthy, InitialCheck)
		}
	default: // "sequential"
		c.Sequential = true
	}
	return nil
}

// duration reads the argument of an option: a length of time above 0.
func duration(d *caddyfile.Dispenser, into *caddy.Duration) error {
	name := d.Val()
	if !d.NextArg() {
		return d.ArgErr()
	}
	v, err := caddy.ParseDuration(d.Val())
	if err != nil || v <= 0 {
		return d.Errf("%s is %q; write a duration longer than 0, 5s for example", name, d.Val())
	}
	*into = caddy.Duration(v)
	return nil
}

// number reads the argument of an option: a whole number from low to high.
func number(d *caddyfile.Dispenser, into *int, low, high int) error {
	name := d.Val()
	if !d.NextArg() {
		return d.ArgErr()
	}
	v, err := strconv.Atoi(d.Val())
	if err != nil || v < low || v > high {
		return d.Errf("%s is %q; write a whole number from %d to %d", name, d.Val(), low, high)
	}
	*into = v
	return nil
}

// text reads the argument of an option, whatever it is.
func text(d *caddyfile.Dispenser, into *string) error {
	if !d.NextArg() {
		return d.ArgErr()
	}
	*into = d.Val()
	return nil
}

// jitter reads 10%, 0.1 or off. What turns it off is stored as a negative number, since 0 is "not set" in JSON.
func jitter(d *caddyfile.Dispenser, into *float64) error {
	if !d.NextArg() {
		return d.ArgErr()
	}
	if d.Val() == "off" {
		*into = -1
		return nil
	}
	digits, percent := strings.CutSuffix(d.Val(), "%")
	v, err := strconv.ParseFloat(digits, 64)
	if percent {
		v /= 100
	}
	if err != nil || !(v >= 0 && v <= 1) {
		return d.Errf("jitter is %q; write a share of the interval from 0%% to 100%%, 10%% or 0.1 for example, or off", d.Val())
	}
	*into = v
	if v == 0 {
		*into = -1
	}
	return nil
}

// unknownOption is the error for an option that a kind does not have.
func unknownOption(d *caddyfile.Dispenser, kind string, options ...string) error {
	return module.Unknown(d, "health_check "+kind, slices.Concat(options, commonOptions)...)
}

// noteOption takes an option of a kind's block. Those that add to each other may be there more than
// once.
func noteOption(once *module.Once, d *caddyfile.Dispenser) error {
	switch d.Val() {
	case "header", "expect_header", "expect_status", "ca":
		return nil
	case "expect": // its own error has a better mend
		return nil
	}
	return once.Note(d)
}

// expand writes out the {rp.*} shorthand. Caddy does so in sites, but not in the global options, where pools
// may stand.
func expand(s string) string { return strings.ReplaceAll(s, "{rp.", "{http.reverse_proxy.") }

// Interface guard.
var _ caddyfile.Unmarshaler = (*Config)(nil)

// unmarshalBlock reads the options of a check's block with option, which reports whether it knows the one that d
// stands on. kind and options are for the error about one that nobody knows.
func unmarshalBlock(d *caddyfile.Dispenser, option func(*caddyfile.Dispenser) (bool, error), kind string, options ...string) error {
	var once module.Once
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		if err := noteOption(&once, d); err != nil {
			return err
		}
		known, err := option(d)
		if err != nil {
			return err
		}
		if !known {
			return unknownOption(d, kind, options...)
		}
		if d.NextArg() {
			return d.ArgErr()
		}
	}
	return nil
}
