package lbproxy

import (
	"context"
	"encoding/json"
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/rewrite"
	"github.com/dustin/go-humanize"
)

// unmarshalRequestOption reads one subdirective of lb_proxy that is about single requests, with the syntax and the
// meaning it has in reverse_proxy. known is false for all others; nothing was consumed then.
//
//	lb_retries      <n>
//	lb_try_duration <duration>
//	lb_try_interval <duration>
//	lb_retry_match  <matchers...> | { <matchers...> }
//
//	retry_on, try_timeout, retry_backoff, retry_budget, hedge, mirror: see caddyfile_retry.go
//
//	flush_interval     <duration>
//	request_buffers    <size>|unlimited
//	response_buffers   <size>|unlimited
//	stream_buffer_size <size>
//	stream_timeout     <duration>
//	stream_close_delay <duration>
//	verbose_logs
//	proxy_status_name  <name>
//
//	trusted_proxies [private_ranges] <ranges...>
//	header_up   [+|-]<field> [<value|regexp> [<replacement>]]
//	header_down [+|-]<field> [<value|regexp> [<replacement>]]
//	method      <method>
//	rewrite     <to>
//
//	filter … and the blocks of directives: see unmarshalFilter
//
//	@name { <response matchers...> }
//	replace_status  [<@name>] <code>
//	handle_response [<@name>] { <directives...> }
func (h *Handler) unmarshalRequestOption(d *caddyfile.Dispenser) (known bool, err error) {
	if strings.HasPrefix(d.Val(), "@") {
		if h.responseMatchers == nil {
			h.responseMatchers = make(map[string]caddyhttp.ResponseMatcher)
		}
		return true, caddyhttp.ParseNamedResponseMatcher(d.NewFromNextSegment(), h.responseMatchers)
	}
	parse, known := requestOptions[d.Val()]
	if !known {
		return false, nil
	}
	return true, parse(h, d)
}

var requestOptions = map[string]func(*Handler, *caddyfile.Dispenser) error{
	"lb_retries":      (*Handler).unmarshalRetries,
	"lb_try_duration": (*Handler).unmarshalTryTime,
	"lb_try_interval": (*Handler).unmarshalTryTime,
	"lb_retry_match":  (*Handler).unmarshalRetryMatch,

	"retry_on":      (*Handler).unmarshalRetryOn,
	"try_timeout":   (*Handler).unmarshalTryTimeout,
	"retry_backoff": (*Handler).unmarshalRetryBackoff,
	"retry_budget":  (*Handler).unmarshalRetryBudget,
	"hedge":         (*Handler).unmarshalHedge,
	"mirror":        (*Handler).unmarshalMirror,

	"flush_interval":     (*Handler).unmarshalStreamTime,
	"stream_timeout":     (*Handler).unmarshalStreamTime,
	"stream_close_delay": (*Handler).unmarshalStreamTime,
	"request_buffers":    (*Handler).unmarshalSize,
	"response_buffers":   (*Handler).unmarshalSize,
	"stream_buffer_size": (*Handler).unmarshalSize,
	"verbose_logs":       (*Handler).unmarshalVerboseLogs,
	"proxy_status_name":  (*Handler).unmarshalText,
	"method":             (*Handler).unmarshalText,
	"rewrite":            (*Handler).unmarshalText,

	"filter":                  (*Handler).unmarshalFilter,
	"filter_timeout":          (*Handler).unmarshalFilterTimeout,
	"request_filter":          (*Handler).keepFilterBlock,
	"upstream_request_filter": (*Handler).keepFilterBlock,
	"response_filter":         (*Handler).keepFilterBlock,

	"trusted_proxies": (*Handler).unmarshalTrustedProxies,
	"header_up":       (*Handler).unmarshalHeaderUp,
	"header_down":     (*Handler).unmarshalHeaderDown,
	"handle_response": (*Handler).keepHandleResponse,
	"replace_status":  (*Handler).unmarshalReplaceStatus,
}

// balancing is the handler's LoadBalancing, made when it is first needed.
func (h *Handler) balancing() *LoadBalancing {
	if h.LoadBalancing == nil {
		h.LoadBalancing = new(LoadBalancing)
	}
	return h.LoadBalancing
}

func (h *Handler) unmarshalRetries(d *caddyfile.Dispenser) error {
	if !d.NextArg() {
		return d.ArgErr()
	}
	n, err := strconv.Atoi(d.Val())
	if err != nil || n < 0 {
		return d.Errf("lb_retries %q: write how often another backend may be tried, like 2", d.Val())
	}
	h.balancing().Retries = n
	return nil
}

func (h *Handler) unmarshalTryTime(d *caddyfile.Dispenser) error {
	option := d.Val()
	if !d.NextArg() {
		return d.ArgErr()
	}
	t, err := caddy.ParseDuration(d.Val())
	if err != nil {
		return d.Errf("%s %q: write a duration like 5s: %v", option, d.Val(), err)
	}
	if option == "lb_try_duration" {
		h.balancing().TryDuration = caddy.Duration(t)
	} else {
		h.balancing().TryInterval = caddy.Duration(t)
	}
	return nil
}

func (h *Handler) unmarshalRetryMatch(d *caddyfile.Dispenser) error {
	option := here(d)
	set, err := caddyhttp.ParseCaddyfileNestedMatcherSet(d)
	if err != nil {
		return d.Errf("failed to parse lb_retry_match: %v", err)
	}
	if raw, ok := set["expression"]; ok {
		if err := compileExpression(raw); err != nil {
			return option.Errf("lb_retry_match: %v", err)
		}
	}
	h.balancing().RetryMatchRaw = append(h.balancing().RetryMatchRaw, set)
	return nil
}

// compileExpression tells whether a CEL expression is one, by compiling it in a context that is thrown away.
func compileExpression(raw json.RawMessage) error {
	ctx, cancel := caddy.NewContext(caddy.Context{Context: context.Background()})
	defer cancel()
	expression := new(caddyhttp.MatchExpression)
	if err := json.Unmarshal(raw, expression); err != nil {
		return err
	}
	return expression.Provision(ctx)
}

// unmarshalStreamTime reads a duration, which may be a bare number of nanoseconds such as -1.
func (h *Handler) unmarshalStreamTime(d *caddyfile.Dispenser) error {
	option := d.Val()
	if !d.NextArg() {
		return d.ArgErr()
	}
	var t caddy.Duration
	if n, err := strconv.Atoi(d.Val()); err == nil {
		t = caddy.Duration(n)
	} else {
		parsed, err := caddy.ParseDuration(d.Val())
		if err != nil {
			return d.Errf("%s %q: write a duration like 500ms: %v", option, d.Val(), err)
		}
		t = caddy.Duration(parsed)
	}
	switch option {
	case "flush_interval":
		h.FlushInterval = t
	case "stream_timeout":
		h.StreamTimeout = t
	case "stream_close_delay":
		h.StreamCloseDelay = t
	}
	return nil
}

func (h *Handler) unmarshalSize(d *caddyfile.Dispenser) error {
	option := d.Val()
	var text string
	if !d.AllArgs(&text) {
		return d.ArgErr()
	}
	size := int64(-1)
	if text != "unlimited" {
		n, err := humanize.ParseBytes(text)
		if err != nil {
			return d.Errf("%s %q: write a size like 4KiB, or unlimited: %v", option, text, err)
		}
		size = int64(n)
	}
	switch option {
	case "request_buffers":
		h.RequestBuffers = size
	case "response_buffers":
		h.ResponseBuffers = size
	case "stream_buffer_size":
		h.StreamBufferSize = int(size)
	}
	return nil
}

func (h *Handler) unmarshalVerboseLogs(*caddyfile.Dispenser) error {
	h.VerboseLogs = true
	return nil
}

func (h *Handler) unmarshalText(d *caddyfile.Dispenser) error {
	option := d.Val()
	var text string
	if !d.AllArgs(&text) {
		return d.ArgErr()
	}
	if option == "proxy_status_name" {
		h.ProxyStatusName = text
		return nil
	}
	if h.Rewrite == nil {
		h.Rewrite = new(rewrite.Rewrite)
	}
	if option == "method" {
		h.Rewrite.Method = text
	} else {
		h.Rewrite.URI = text
	}
	return nil
}

func (h *Handler) unmarshalTrustedProxies(d *caddyfile.Dispenser) error {
	for d.NextArg() {
		if d.Val() == "private_ranges" {
			h.TrustedProxies = append(h.TrustedProxies, caddyhttp.PrivateRangesCIDR()...)
			continue
		}
		if _, err := parseIPRange(d.Val()); err != nil {
			return d.WrapErr(err)
		}
		h.TrustedProxies = append(h.TrustedProxies, d.Val())
	}
	return nil
}
