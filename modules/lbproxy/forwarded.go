package lbproxy

import (
	"net"
	"net/http"
	"net/netip"
	"strings"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddylb/caddy-lb/internal/h1"
)

// The fields by which backends learn about the client.
const (
	forwardedFor   = "X-Forwarded-For"
	forwardedProto = "X-Forwarded-Proto"
	forwardedHost  = "X-Forwarded-Host"
)

// addForwarded sets the X-Forwarded-* fields.
func (ex *exchange) addForwarded() {
	header, slot := ex.out.Header, 0
	known := ex.forwardedFields(header, func(field, value string) {
		slot++
		ex.set(header, field, slot, value)
	})
	if !known {
		delete(header, forwardedFor)
		delete(header, forwardedProto)
		delete(header, forwardedHost)
	}
}

// forwardedFields calls set with the X-Forwarded-* fields to send for a request with the given header. What the client sent of them is
// kept only when the peer is a trusted proxy; otherwise anybody could claim another address. A field that an earlier handler
// set to no value at all stays out, and so do all of them when it reports that the peer is not known.
func (ex *exchange) forwardedFields(header http.Header, set func(field, value string)) (known bool) {
	peer, trusted, known := ex.peer()
	if !known {
		return false
	}
	if prior, ok := header[forwardedFor]; !ok || prior != nil {
		list := peer
		if before := strings.Join(prior, ", "); trusted && before != "" {
			list = before
			if peer != "" {
				list += ", " + peer
			}
		}
		if list != "" {
			set(forwardedFor, list)
		}
	}
	proto := "http"
	if ex.in.TLS != nil {
		proto = "https"
	}
	for _, f := range [...]h1.Field{{Name: forwardedProto, Value: proto}, {Name: forwardedHost, Value: ex.in.Host}} {
		prior, ok := header[f.Name]
		if ok && prior == nil {
			continue
		}
		if n := len(prior); trusted && n > 0 && prior[n-1] != "" {
			f.Value = prior[n-1]
		}
		set(f.Name, f.Value)
	}
	return true
}

// peer is the address of the client's end of the connection, without port and IPv6 zone, and whether it is a
// trusted proxy. The address is empty for a trusted peer on a Unix socket. It is not known for an untrusted one,
// and for whatever is no address.
func (ex *exchange) peer() (address string, trusted, known bool) {
	trusted, _ = caddyhttp.GetVar(ex.in.Context(), caddyhttp.TrustedProxyVarKey).(bool)
	if ex.in.RemoteAddr == "@" {
		return "", trusted, trusted
	}
	host, _, err := net.SplitHostPort(ex.in.RemoteAddr)
	if err != nil {
		return "", false, false
	}
	host, _, _ = strings.Cut(host, "%")
	if len(ex.h.trustedProxies) == 0 || trusted {
		return host, trusted, true
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		for _, prefix := range ex.h.trustedProxies {
			if prefix.Contains(ip) {
				return host, true, true
			}
		}
	}
	return host, false, true
}
