package lbproxy

import (
	"net/http"
	"reflect"
	"slices"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/headers"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
)

// finishTransport brings the schemes of the backends and the transport together. When all backends are
// written with one scheme the transport is set to it, and the result is what reverse_proxy adapts to.
// Otherwise each backend that names a scheme keeps it, and the others get the transport's.
func (p *poolParser) finishTransport(d *caddyfile.Dispenser, up *headers.Handler) error {
	common, mixed := p.commonScheme()
	if mixed {
		p.keepSchemes()
	}
	if p.transport == nil && (common == "https" || common == "h2c") {
		p.transport, p.transportName = new(reverseproxy.HTTPTransport), "http"
	}
	if p.transport == nil {
		return nil
	}
	if err := p.applyScheme(d, common); err != nil {
		return err
	}
	warnUnnecessaryHost(p.transport, up)
	if !reflect.DeepEqual(p.transport, new(reverseproxy.HTTPTransport)) {
		p.config.TransportRaw = caddyconfig.JSONModuleObject(p.transport, "protocol", p.transportName, nil)
	}
	return nil
}

// commonScheme is the scheme that all backends are written with, "" when they have none; mixed tells that
// they differ.
func (p *poolParser) commonScheme() (common string, mixed bool) {
	if len(p.schemes) == 0 {
		return "", false
	}
	common = p.schemes[0]
	if slices.ContainsFunc(p.schemes, func(s string) bool { return s != common }) {
		return "", true
	}
	return common, false
}

// keepSchemes writes each backend's scheme into its own configuration, unless it is the default anyway.
func (p *poolParser) keepSchemes() {
	for i, u := range p.config.Upstreams {
		if p.schemes[i] != "http" || p.transport != nil {
			u.Scheme = p.schemes[i]
		}
	}
}

// applyScheme sets the transport to the scheme that all backends share.
func (p *poolParser) applyScheme(d *caddyfile.Dispenser, common string) error {
	te, ok := p.transport.(reverseproxy.TLSTransport)
	if !ok {
		if common == "https" {
			return d.Errf("upstreams are configured for HTTPS but transport module does not support TLS: %T", p.transport)
		}
		return nil
	}
	if common == "https" && !te.TLSEnabled() {
		if err := te.EnableTLS(new(reverseproxy.TLSConfig)); err != nil {
			return err
		}
	}
	if common == "http" && te.TLSEnabled() {
		return d.Errf("upstream address scheme is HTTP but transport is configured for HTTP+TLS (HTTPS)")
	}
	if h2c, ok := p.transport.(reverseproxy.H2CTransport); ok && common == "h2c" {
		return h2c.EnableH2C()
	}
	return nil
}

// warnUnnecessaryHost says when a header_up sets the Host that is sent to HTTPS backends anyway.
func warnUnnecessaryHost(transport http.RoundTripper, up *headers.Handler) {
	te, ok := transport.(reverseproxy.TLSTransport)
	if !ok || !te.TLSEnabled() || up == nil || up.Request == nil {
		return
	}
	switch up.Request.Set.Get("Host") {
	case "{upstream_hostport}", "{http.reverse_proxy.upstream.hostport}":
		caddy.Log().Named("caddyfile").Warn("header_up Host is not needed: a backend over HTTPS gets its own address as Host")
	}
}
