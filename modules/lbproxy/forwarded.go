package lbproxy

import (
	"net"
	"net/http"
	"net/netip"
	"strings"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// The fields by which backends learn about the client.
const (
	forwardedFor   = "X-Forwarded-For"
	forwardedProto = "X-Forwarded-Proto"
	forwardedHost  = "X-Forwarded-Host"
)

// addForwarded sets the X-Forwarded-* fields. What the client sent of them is kept only when the peer is a
// trusted proxy; otherwise anybody could claim another address. A field that an earlier handler set to no value
// at all stays out.
func (ex *exchange) addForwarded() {
	header := ex.out.Header
	peer, trusted, known := ex.peer()
	if !known {
		delete(header, forwardedFor)
		delete(header, forwardedProto)
		delete(header, forwardedHost)
		return
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
			ex.set(header, forwardedFor, 1, list)
		}
	}
	proto := "http"
	if ex.in.TLS != nil {
		proto = "https"
	}
	ex.forward(header, forwardedProto, 2, proto, trusted)
	ex.forward(header, forwardedHost, 3, ex.in.Host, trusted)
}

// forward sets a field to the last value that a trusted proxy gave it, else to own.
func (ex *exchange) forward(header http.Header, field string, slot int, own string, trusted bool) {
	prior, ok := header[field]
	if ok && prior == nil {
		return
	}
	if n := len(prior); trusted && n > 0 && prior[n-1] != "" {
		own = prior[n-1]
	}
	ex.set(header, field, slot, own)
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
