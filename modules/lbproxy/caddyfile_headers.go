package lbproxy

import (
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/headers"
	"go.uber.org/zap"
)

// alreadyForwarded are values of header_up that say what the proxy says anyway, by lower-case field.
var alreadyForwarded = map[string][]string{
	"x-forwarded-for":   {"{remote}", "{http.request.remote}", "{remote_host}", "{http.request.remote.host}"},
	"x-forwarded-proto": {"{scheme}", "{http.request.scheme}"},
	"x-forwarded-host":  {"{host}", "{http.request.host}", "{hostport}", "{http.request.hostport}"},
}

func (h *Handler) unmarshalHeaderUp(d *caddyfile.Dispenser) error {
	args := d.RemainingArgs()
	if len(args) == 2 && slices.Contains(alreadyForwarded[strings.ToLower(args[0])], args[1]) {
		caddy.Log().Named("caddyfile").Warn("unnecessary header_up: the field has this value anyway", zap.String("field", args[0]))
	}
	if h.Headers == nil {
		h.Headers = new(headers.Handler)
	}
	if h.Headers.Request == nil {
		h.Headers.Request = new(headers.HeaderOps)
	}
	return unmarshalHeaderOp(d, h.Headers.Request, args)
}

func (h *Handler) unmarshalHeaderDown(d *caddyfile.Dispenser) error {
	if h.Headers == nil {
		h.Headers = new(headers.Handler)
	}
	if h.Headers.Response == nil {
		h.Headers.Response = &headers.RespHeaderOps{HeaderOps: new(headers.HeaderOps)}
	}
	return unmarshalHeaderOp(d, h.Headers.Response.HeaderOps, d.RemainingArgs())
}

// unmarshalHeaderOp adds one operation: a field to set, add or remove, or a replacement within it.
func unmarshalHeaderOp(d *caddyfile.Dispenser, ops *headers.HeaderOps, args []string) error {
	var value string
	var replacement *string
	switch len(args) {
	case 3:
		value, replacement = args[1], &args[2]
	case 2:
		value = args[1]
	case 1:
	default:
		return d.ArgErr()
	}
	if err := headers.CaddyfileHeaderOp(ops, args[0], value, replacement); err != nil {
		return d.WrapErr(err)
	}
	return nil
}
