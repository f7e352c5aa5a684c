package lbproxy

import (
	"math"
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddylb/caddy-lb/internal/module"
)

// resilienceOptions are the options of a pool that say how it copes with backends that fail, are new, or are full.
//
//	outlier_detection { … }
//	panic_threshold   <percent>
//	overprovisioning  <factor>|off
//	slow_start        <duration> [<aggression>]
//	queue             <size> [<timeout>]
//	limits {
//		requests    <n>
//		connections <n>
//		retries     <n>
//	}
//	adaptive_concurrency {
//		initial   <n>
//		min       <n>
//		max       <n>
//		tolerance <factor>
//	}
//	drain_idle <duration>
var resilienceOptions = map[string]func(*poolParser, *caddyfile.Dispenser) error{
	"outlier_detection":    (*poolParser).unmarshalOutlierDetection,
	"panic_threshold":      (*poolParser).unmarshalPanicThreshold,
	"overprovisioning":     (*poolParser).unmarshalOverprovisioning,
	"slow_start":           (*poolParser).unmarshalSlowStart,
	"queue":                (*poolParser).unmarshalQueue,
	"limits":               (*poolParser).unmarshalLimits,
	"adaptive_concurrency": (*poolParser).unmarshalAdaptive,
	"drain_idle":           (*poolParser).unmarshalDrainIdle,
}

// resilienceOption reads the option that d stands on, if it is one of those.
func (p *poolParser) resilienceOption(d *caddyfile.Dispenser) (known bool, err error) {
	parse := resilienceOptions[d.Val()]
	if parse == nil {
		return false, nil
	}
	return true, parse(p, d)
}

func (p *poolParser) balancing() *LoadBalancing {
	if p.config.LoadBalancing == nil {
		p.config.LoadBalancing = new(LoadBalancing)
	}
	return p.config.LoadBalancing
}

func (p *poolParser) unmarshalPanicThreshold(d *caddyfile.Dispenser) error {
	text, err := module.OneArg(d, "panic_threshold <percent>")
	if err != nil {
		return err
	}
	p.balancing().PanicThreshold, err = parsePercent(d, "panic_threshold", text)
	return err
}

func (p *poolParser) unmarshalOverprovisioning(d *caddyfile.Dispenser) error {
	text, err := module.OneArg(d, "overprovisioning <factor>|off")
	if err != nil {
		return err
	}
	if text == "off" {
		p.balancing().Overprovisioning = -1
		return nil
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil || !(f >= 1) || math.IsInf(f, 0) {
		return d.Errf("overprovisioning %q: write a factor of at least 1, such as 1.4, or off for strict tiers", text)
	}
	p.balancing().Overprovisioning = f
	return nil
}

func (p *poolParser) unmarshalSlowStart(d *caddyfile.Dispenser) error {
	const usage = "slow_start <duration> [<aggression>]"
	args := d.RemainingArgs()
	if len(args) == 0 || len(args) > 2 {
		return d.Errf("slow_start takes a duration and perhaps an aggression: write '%s'", usage)
	}
	start := new(SlowStart)
	var err error
	if start.Duration, err = parsePositive(d, "slow_start", args[0]); err != nil {
		return err
	}
	if len(args) == 2 {
		f, err := strconv.ParseFloat(args[1], 64)
		if err != nil || !(f > 0) || math.IsInf(f, 0) {
			return d.Errf("the aggression of slow_start %q: write a number above 0: 1 for a straight line, more to rise faster at first", args[1])
		}
		start.Aggression = f
	}
	p.balancing().SlowStart = start
	return nil
}

func (p *poolParser) unmarshalQueue(d *caddyfile.Dispenser) error {
	args := d.RemainingArgs()
	if len(args) == 0 || len(args) > 2 {
		return d.Errf("queue takes a number of requests and perhaps a timeout: write 'queue <size> [<timeout>]'")
	}
	queue := new(Queue)
	var err error
	if queue.Size, err = parseCount(d, "queue", args[0]); err != nil {
		return err
	}
	if len(args) == 2 {
		if queue.Timeout, err = parsePositive(d, "the timeout of queue", args[1]); err != nil {
			return err
		}
	}
	p.balancing().Queue = queue
	return nil
}

func (p *poolParser) unmarshalLimits(d *caddyfile.Dispenser) error {
	if err := module.NoMore(d, "limits { … }"); err != nil {
		return err
	}
	limits := new(Limits)
	var seen module.Once
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		if err := seen.Note(d); err != nil {
			return err
		}
		fields := map[string]*int{"requests": &limits.Requests, "connections": &limits.Connections, "retries": &limits.Retries}
		if err := parseCounts(d, "limits", fields, "requests", "connections", "retries"); err != nil {
			return err
		}
	}
	if *limits == (Limits{}) {
		return d.Err("limits has no limit: write a block with requests, connections or retries, each with a number")
	}
	p.balancing().Limits = limits
	return nil
}

func (p *poolParser) unmarshalAdaptive(d *caddyfile.Dispenser) error {
	if err := module.NoMore(d, "adaptive_concurrency { … }"); err != nil {
		return err
	}
	option := here(d)
	a := new(AdaptiveConcurrency)
	var seen module.Once
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		if err := seen.Note(d); err != nil {
			return err
		}
		if d.Val() == "tolerance" {
			text, err := module.OneArg(d, "tolerance <factor>")
			if err != nil {
				return err
			}
			if a.Tolerance, err = parseFactor(d, "tolerance", text); err != nil {
				return err
			}
			continue
		}
		fields := map[string]*int{"initial": &a.Initial, "min": &a.Min, "max": &a.Max}
		if err := parseCounts(d, "adaptive_concurrency", fields, "initial", "min", "max", "tolerance"); err != nil {
			return err
		}
	}
	if err := a.validate(); err != nil {
		return option.WrapErr(err)
	}
	p.balancing().AdaptiveConcurrency = a
	return nil
}

func (p *poolParser) unmarshalDrainIdle(d *caddyfile.Dispenser) error {
	text, err := module.OneArg(d, "drain_idle <duration>")
	if err != nil {
		return err
	}
	p.balancing().DrainIdle, err = parsePositive(d, "drain_idle", text)
	return err
}

// parseCounts reads the option of a block that d stands on, one of several numbers above 0.
func parseCounts(d *caddyfile.Dispenser, block string, fields map[string]*int, names ...string) error {
	option := d.Val()
	field := fields[option]
	if field == nil {
		return module.Unknown(d, block, names...)
	}
	text, err := module.OneArg(d, option+" <n>")
	if err != nil {
		return err
	}
	*field, err = parseCount(d, option, text)
	return err
}

// maxCount bounds numbers of requests and connections; more than any process can have.
const maxCount = 1 << 30

func parseCount(d *caddyfile.Dispenser, option, text string) (int, error) {
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > maxCount {
		return 0, d.Errf("%s %q: write a whole number above 0", option, text)
	}
	return n, nil
}

func parsePositive(d *caddyfile.Dispenser, option, text string) (caddy.Duration, error) {
	t, err := caddy.ParseDuration(text)
	if err != nil || t <= 0 {
		return 0, d.Errf("%s %q: write a duration above 0, such as 30s", option, text)
	}
	return caddy.Duration(t), nil
}

// parsePercent reads a percentage, with its sign or without.
func parsePercent(d *caddyfile.Dispenser, option, text string) (float64, error) {
	n, err := strconv.ParseFloat(strings.TrimSuffix(text, "%"), 64)
	if err != nil || !(n > 0 && n <= 100) {
		return 0, d.Errf("%s %q: write a percentage above 0 and up to 100, such as 50%%", option, text)
	}
	return n, nil
}

// parseFactor reads a factor of at least 1.
func parseFactor(d *caddyfile.Dispenser, option, text string) (float64, error) {
	f, err := strconv.ParseFloat(text, 64)
	if err != nil || !(f >= 1) || math.IsInf(f, 0) {
		return 0, d.Errf("%s %q: write a factor of at least 1, such as 1.4", option, text)
	}
	return f, nil
}
