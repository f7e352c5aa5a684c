package lbproxy

import (
	"net"
	"net/http"
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddylb/caddy-lb/modules/healthcheck"
)

// activeOption reads one of reverse_proxy's health_* options.
func (p *poolParser) activeOption(d *caddyfile.Dispenser) (known bool, err error) {
	option := d.Val()
	if !strings.HasPrefix(option, "health_") {
		return false, nil
	}
	switch option {
	case "health_headers":
		p.active().Headers = unmarshalHealthHeaders(d)
		return true, nil
	case "health_follow_redirects":
		if d.NextArg() {
			return true, d.ArgErr()
		}
		p.active().FollowRedirects = true
		return true, nil
	case "health_uri", "health_path", "health_upstream", "health_port", "health_method", "health_request_body",
		"health_interval", "health_timeout", "health_status", "health_body", "health_passes", "health_fails":
		if !d.NextArg() {
			return true, d.ArgErr()
		}
		if option == "health_path" {
			p.warn(d, "health_path is the old name of health_uri: write health_uri")
		}
		return true, setActive(d, p.active(), option, d.Val())
	}
	return false, nil
}

func (p *poolParser) active() *healthcheck.Active {
	hc := p.healthChecks()
	if hc.Active == nil {
		hc.Active = new(healthcheck.Active)
	}
	return hc.Active
}

func setActive(d *caddyfile.Dispenser, a *healthcheck.Active, option, value string) (err error) {
	switch option {
	case "health_uri":
		a.URI = value
	case "health_path":
		a.Path = value
	case "health_upstream":
		_, port, err := net.SplitHostPort(value)
		if err != nil {
			return d.Errf("health_upstream is malformed '%s': %v", value, err)
		}
		if _, err := strconv.Atoi(port); err != nil {
			return d.Errf("bad port number '%s': %v", value, err)
		}
		a.Upstream = value
	case "health_port":
		if a.Upstream != "" {
			return d.Errf("health_upstream has a port already: leave health_port out")
		}
		a.Port, err = parseNumber(d, "bad port number '%s': %v", value)
	case "health_method":
		a.Method = value
	case "health_request_body":
		a.Body = value
	case "health_interval":
		a.Interval, err = parseDuration(d, "bad interval value %s: %v", value)
	case "health_timeout":
		a.Timeout, err = parseDuration(d, "bad timeout value %s: %v", value)
	case "health_status":
		a.ExpectStatus, err = parseStatusClass(d, value)
	case "health_body":
		a.ExpectBody = value
	case "health_passes":
		a.Passes, err = parseNumber(d, "invalid passes count '%s': %v", value)
	case "health_fails":
		a.Fails, err = parseNumber(d, "invalid fails count '%s': %v", value)
	}
	return err
}

func unmarshalHealthHeaders(d *caddyfile.Dispenser) http.Header {
	header := make(http.Header)
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		field := d.Val()
		values := d.RemainingArgs()
		if len(values) == 0 {
			values = []string{""}
		}
		header[field] = append(header[field], values...)
	}
	return header
}

// passiveOption reads one of reverse_proxy's options of passive checks.
func (p *poolParser) passiveOption(d *caddyfile.Dispenser) (known bool, err error) {
	option := d.Val()
	switch option {
	case "max_fails", "fail_duration", "unhealthy_request_count", "unhealthy_status", "unhealthy_latency":
	default:
		return false, nil
	}
	args := d.RemainingArgs()
	if len(args) == 0 || (len(args) > 1 && option != "unhealthy_status") {
		return true, d.ArgErr()
	}
	hc := p.healthChecks()
	if hc.Passive == nil {
		hc.Passive = new(PassiveHealthChecks)
	}
	switch option {
	case "max_fails":
		hc.Passive.MaxFails, err = parseNumber(d, "invalid maximum fail count '%s': %v", args[0])
	case "fail_duration":
		hc.Passive.FailDuration, err = parseDuration(d, "bad duration value '%s': %v", args[0])
	case "unhealthy_request_count":
		hc.Passive.UnhealthyRequestCount, err = parseNumber(d, "invalid maximum connection count '%s': %v", args[0])
	case "unhealthy_latency":
		hc.Passive.UnhealthyLatency, err = parseDuration(d, "bad duration value '%s': %v", args[0])
	case "unhealthy_status":
		for _, arg := range args {
			var status int
			if status, err = parseStatusClass(d, arg); err != nil {
				return true, err
			}
			hc.Passive.UnhealthyStatus = append(hc.Passive.UnhealthyStatus, status)
		}
	}
	return true, err
}

func parseNumber(d *caddyfile.Dispenser, format, value string) (int, error) {
	n, err := strconv.Atoi(value)
	if err != nil {
		return 0, d.Errf(format, value, err)
	}
	return n, nil
}

func parseDuration(d *caddyfile.Dispenser, format, value string) (caddy.Duration, error) {
	duration, err := caddy.ParseDuration(value)
	if err != nil {
		return 0, d.Errf(format, value, err)
	}
	return caddy.Duration(duration), nil
}

// parseStatusClass reads a status code, or a class such as 5xx as its first digit.
func parseStatusClass(d *caddyfile.Dispenser, value string) (int, error) {
	digits := value
	if len(value) == 3 && strings.HasSuffix(value, "xx") {
		digits = value[:1]
	}
	return parseNumber(d, "bad status value '%s': %v", digits)
}
