package lbproxy

import (
	"strconv"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddylb/caddy-lb/internal/module"
)

// unmarshalOutlierDetection parses
//
//	outlier_detection {
//		consecutive_5xx             <n>|off
//		consecutive_gateway_failure <n>|off
//		consecutive_connect_failure <n>|off
//		failure_percentage          <percent>|off [min_requests <n>] [min_hosts <n>]
//		success_rate                <deviations>|off [min_requests <n>] [min_hosts <n>]
//		latency                     <factor>|off [min_requests <n>] [min_hosts <n>] [floor <duration>]
//		interval                    <duration>
//		base_ejection_time          <duration>
//		max_ejection_time           <duration>
//		max_ejection_percent        <percent>
//		always_eject_one
//	}
func (p *poolParser) unmarshalOutlierDetection(d *caddyfile.Dispenser) error {
	if err := module.NoMore(d, "outlier_detection { … }"); err != nil {
		return err
	}
	o := new(OutlierDetection)
	var seen module.Once
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		if err := seen.Note(d); err != nil {
			return err
		}
		if err := o.unmarshalOption(d); err != nil {
			return err
		}
	}
	p.healthChecks().OutlierDetection = o
	return nil
}

func (o *OutlierDetection) unmarshalOption(d *caddyfile.Dispenser) (err error) {
	option := d.Val()
	if option == "always_eject_one" {
		o.AlwaysEjectOne = true
		return module.NoMore(d, option)
	}
	args := d.RemainingArgs()
	if len(args) == 0 {
		return d.Errf("%s has no value", option)
	}
	if _, isRule := outlierRules[option]; !isRule && len(args) > 1 {
		return d.Errf("%s takes one value, got %q besides", option, args[1])
	}
	switch option {
	case "consecutive_5xx":
		o.Consecutive5xx, err = parseCountOrOff(d, option, args[0])
	case "consecutive_gateway_failure":
		o.ConsecutiveGatewayFailure, err = parseCountOrOff(d, option, args[0])
	case "consecutive_connect_failure":
		o.ConsecutiveConnectFailure, err = parseCountOrOff(d, option, args[0])
	case "failure_percentage":
		o.FailurePercentage, err = parseRule(d, option, args)
	case "success_rate":
		o.SuccessRate, err = parseRule(d, option, args)
	case "latency":
		o.Latency, err = parseRule(d, option, args)
	case "interval":
		o.Interval, err = parsePositive(d, option, args[0])
	case "base_ejection_time":
		o.BaseEjectionTime, err = parsePositive(d, option, args[0])
	case "max_ejection_time":
		o.MaxEjectionTime, err = parsePositive(d, option, args[0])
	case "max_ejection_percent":
		o.MaxEjectionPercent, err = parsePercent(d, option, args[0])
	default:
		return d.Errf("unrecognized option of outlier_detection: %s: %s", option, module.Suggest(option,
			"consecutive_5xx", "consecutive_gateway_failure", "consecutive_connect_failure", "failure_percentage", "success_rate",
			"latency", "interval", "base_ejection_time", "max_ejection_time", "max_ejection_percent", "always_eject_one"))
	}
	return err
}

func parseCountOrOff(d *caddyfile.Dispenser, option, text string) (int, error) {
	if text == "off" {
		return -1, nil
	}
	n, err := parseCount(d, option, text)
	if err != nil {
		return 0, d.Errf("%s %q: write a whole number above 0, or off", option, text)
	}
	return n, nil
}

// outlierRules says how the threshold of each rule is written.
var outlierRules = map[string]func(d *caddyfile.Dispenser, option, text string) (float64, error){
	"failure_percentage": parsePercent,
	"success_rate":       parseDeviations,
	"latency":            parseFactor,
}

func parseDeviations(d *caddyfile.Dispenser, option, text string) (float64, error) {
	f, err := strconv.ParseFloat(text, 64)
	if err != nil || !(f > 0 && f < 100) {
		return 0, d.Errf("%s %q: write a number of standard deviations above 0, such as 1.9", option, text)
	}
	return f, nil
}

// parseRule reads a threshold, and what a backend needs to be judged by it.
func parseRule(d *caddyfile.Dispenser, option string, args []string) (*OutlierRule, error) {
	r := new(OutlierRule)
	if args[0] == "off" {
		if r.Threshold = -1; len(args) > 1 {
			return nil, d.Errf("%s off takes nothing more, got %q", option, args[1])
		}
		return r, nil
	}
	var err error
	if r.Threshold, err = outlierRules[option](d, option, args[0]); err != nil {
		return nil, err
	}
	rest := args[1:]
	if len(rest)%2 != 0 {
		return nil, d.Errf("%s: %q has no value", option, rest[len(rest)-1])
	}
	seen := make(map[string]bool)
	for i := 0; i < len(rest); i += 2 {
		name, value := rest[i], rest[i+1]
		if seen[name] {
			return nil, d.Errf("%s has %s twice: write it once", option, name)
		}
		seen[name] = true
		switch {
		case name == "min_requests":
			r.MinRequests, err = parseCount(d, name, value)
		case name == "min_hosts":
			r.MinHosts, err = parseCount(d, name, value)
		case name == "floor" && option == "latency":
			r.Floor, err = parsePositive(d, name, value)
		default:
			names := []string{"min_requests", "min_hosts"}
			if option == "latency" {
				names = append(names, "floor")
			}
			err = d.Errf("unrecognized option of %s: %s: %s", option, name, module.Suggest(name, names...))
		}
		if err != nil {
			return nil, err
		}
	}
	return r, nil
}
