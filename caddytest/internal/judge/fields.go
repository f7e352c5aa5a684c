package judge

import (
	"slices"
	"strings"

	"github.com/caddylb/caddy-lb/caddytest/internal/strict"
)

// own are fields that a proxy writes itself.
var own = []string{
	"host", "via", "x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "content-length", "transfer-encoding", "trailer", "te",
	"connection", "upgrade", "x-copy",
}

// notInTrailers are fields that a backend may merge into the header and believe (RFC 9110, section
// 6.5.1).
var notInTrailers = []string{
	"host", "via", "x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "content-length", "transfer-encoding", "trailer", "te",
	"connection", "upgrade", "forwarded", "keep-alive", "proxy-connection", "expect",
}

// fields checks what a backend was told with a request.
func (r *result) fields(client string, sent, got *strict.Request) {
	for name, want := range map[string]string{"X-Forwarded-For": client, "X-Forwarded-Proto": "http"} {
		if values := got.Fields.Values(name); len(values) != 1 || values[0] != want {
			r.add(Leaked, "%s is %q, want %q", name, values, want)
		}
	}
	if values := got.Fields.Values("X-Forwarded-Host"); len(values) != 1 || values[0] != "" && !strings.EqualFold(values[0], sent.Authority) {
		r.add(Leaked, "X-Forwarded-Host is %q, want %q", values, sent.Authority)
	}
	nominated := sent.Fields.List("Connection")
	for _, f := range got.Fields {
		name := strings.ToLower(f.Name)
		if slices.Contains(own, name) {
			continue
		}
		if slices.ContainsFunc(nominated, func(n string) bool { return strings.EqualFold(n, name) }) {
			r.add(Leaked, "%s is sent on, though Connection nominates it", name)
		}
		if name == "cache-control" && f.Value == "no-cache" && sent.Fields.Has("Pragma", "no-cache") {
			continue // which it stands for (RFC 9111, section 5.4)
		}
		if !slices.Contains(sent.Fields.Values(name), f.Value) {
			r.add(Leaked, "the backend got %s: %.80q, the client sent %.80q", name, f.Value, sent.Fields.Values(name))
		}
	}
	r.connection(got)
	for _, f := range got.Trailers {
		if slices.Contains(notInTrailers, strings.ToLower(f.Name)) {
			r.add(Leaked, "the backend got the trailer %s: %.80q", f.Name, f.Value)
		}
		if !slices.Contains(sent.Trailers.Values(f.Name), f.Value) {
			r.add(Leaked, "the backend got the trailer %s: %.80q out of nothing", f.Name, f.Value)
		}
	}
}

// connection checks the fields of a hop (RFC 9110, section 7.6.1).
func (r *result) connection(got *strict.Request) {
	for _, name := range []string{"Keep-Alive", "Proxy-Connection", "Proxy-Authorization", "Proxy-Authenticate"} {
		if v := got.Fields.Values(name); len(v) > 0 {
			r.add(Leaked, "%s: %q is of another hop", name, v)
		}
	}
	for _, te := range got.Fields.List("TE") {
		if te != "trailers" {
			r.add(Leaked, "TE: %q is of another hop", te)
		}
	}
	protocols := got.Fields.Values("Upgrade")
	for _, c := range got.Fields.List("Connection") {
		if !strings.EqualFold(c, "Upgrade") || len(protocols) == 0 {
			r.add(Leaked, "Connection: %q is of another hop", c)
		}
	}
	if got.Fields.Has("Upgrade", "h2c") || len(protocols) > 0 && !got.Fields.Has("Connection", "Upgrade") {
		r.add(Leaked, "Upgrade: %q is sent on", protocols)
	}
}
