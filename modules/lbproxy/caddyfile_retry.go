package lbproxy

import (
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddylb/caddy-lb/internal/module"
)

// The options below are of single requests, and not of reverse_proxy.
//
//	retry_on      <connect|timeout|reset|gateway|5xx|<status>|non_idempotent>...
//	try_timeout   <duration>
//	retry_backoff <base> [<max>]
//	retry_budget  <percent> [min_per_second <n>]
//	hedge         <delay>|p<percentile> [max <percent>]
//	mirror        <address>|pool:<name> [<percent>]

func (h *Handler) unmarshalRetryOn(d *caddyfile.Dispenser) error {
	words := d.RemainingArgs()
	if len(words) == 0 {
		return d.Errf("retry_on lacks its conditions: write %s", retryOnUsage)
	}
	if _, err := parseRetryOn(append(words, h.balancing().RetryOn...)); err != nil {
		return d.WrapErr(err)
	}
	h.balancing().RetryOn = append(h.balancing().RetryOn, words...)
	return nil
}

func (h *Handler) unmarshalTryTimeout(d *caddyfile.Dispenser) error {
	text, err := module.OneArg(d, "try_timeout <duration>")
	if err != nil {
		return err
	}
	h.balancing().TryTimeout, err = parsePositive(d, "try_timeout", text)
	return err
}

func (h *Handler) unmarshalRetryBackoff(d *caddyfile.Dispenser) error {
	args := d.RemainingArgs()
	if len(args) != 1 && len(args) != 2 {
		return d.Errf("retry_backoff takes a base and perhaps a maximum: write 'retry_backoff 25ms 250ms'")
	}
	b := new(RetryBackoff)
	var err error
	if b.Base, err = parsePositive(d, "retry_backoff", args[0]); err != nil {
		return err
	}
	if len(args) == 2 {
		if b.Max, err = parsePositive(d, "retry_backoff", args[1]); err != nil {
			return err
		}
		if b.Max < b.Base {
			return d.Errf("retry_backoff %s %s: the maximum is below the base: write it behind", args[0], args[1])
		}
	}
	h.balancing().RetryBackoff = b
	return nil
}

func (h *Handler) unmarshalRetryBudget(d *caddyfile.Dispenser) error {
	args := d.RemainingArgs()
	if len(args) != 1 && (len(args) != 3 || args[1] != "min_per_second") {
		return d.Errf("retry_budget takes a percentage and perhaps a minimum: write 'retry_budget 20%% min_per_second 10'")
	}
	b := new(RetryBudget)
	var err error
	if b.Percent, err = parsePercent(d, "retry_budget", args[0]); err != nil {
		return err
	}
	if len(args) == 3 {
		n, err := strconv.ParseFloat(args[2], 64)
		if err != nil || !(n >= 0) {
			return d.Errf("min_per_second %q: write how many retries each second may always have, such as 10, or 0 for none", args[2])
		}
		b.MinPerSecond = &n
	}
	h.balancing().RetryBudget = b
	return nil
}

func (h *Handler) unmarshalHedge(d *caddyfile.Dispenser) error {
	args := d.RemainingArgs()
	if len(args) != 1 && (len(args) != 3 || args[1] != "max") {
		return d.Errf("hedge takes a delay or a percentile, and perhaps a maximum: write 'hedge 50ms' or 'hedge p95 max 5%%'")
	}
	config := new(Hedge)
	if text, ok := strings.CutPrefix(args[0], "p"); ok {
		p, err := strconv.ParseFloat(text, 64)
		if err != nil || !(p > 0 && p < 100) {
			return d.Errf("hedge %q: write a percentile above p0 and below p100, such as p95", args[0])
		}
		config.Percentile = p
	} else {
		delay, err := caddy.ParseDuration(args[0])
		if err != nil || delay <= 0 {
			return d.Errf("hedge %q: write a delay above 0, such as 50ms, or a percentile such as p95", args[0])
		}
		config.Delay = caddy.Duration(delay)
	}
	if len(args) == 3 {
		var err error
		if config.MaxPercent, err = parsePercent(d, "max", args[2]); err != nil {
			return err
		}
	}
	h.Hedge, h.hedgeAt = config, here(d)
	return nil
}

func (h *Handler) unmarshalMirror(d *caddyfile.Dispenser) error {
	args := d.RemainingArgs()
	if len(args) != 1 && len(args) != 2 {
		return d.Errf("mirror takes a backend or a pool, and perhaps a percentage: write 'mirror 10.0.0.9:8080 10%%' or 'mirror pool:canary'")
	}
	config := new(Mirror)
	if name, ok := strings.CutPrefix(args[0], "pool:"); ok {
		if config.Pool = name; name == "" {
			return d.Errf("mirror pool: lacks the pool's name: write 'mirror pool:canary'")
		}
		if err := h.knowsPool(d, name); err != nil {
			return err
		}
	} else {
		config.To = args[0]
		if _, err := poolOfAddress(args[0]); err != nil {
			return d.Errf("mirror: %w", err)
		}
		if !strings.ContainsAny(args[0], ".:/{") && h.words != nil {
			h.words[args[0]] = placeOf(d)
		}
	}
	if len(args) == 2 {
		var err error
		if config.Percent, err = parsePercent(d, "mirror", args[1]); err != nil {
			return err
		}
	}
	h.Mirrors = append(h.Mirrors, config)
	return nil
}
