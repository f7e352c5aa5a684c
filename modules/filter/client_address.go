package filter

import (
	"net/http"
	"net/netip"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// clientAddress is the client's address as the server determined it: with trusted_proxies from what they say. Like [remoteAddress] it is
// an IPv4 address where that is written as an IPv6 one, has no zone, and is the zero Addr when there is none, as with a Unix socket.
func clientAddress(r *http.Request) netip.Addr {
	text, _ := caddyhttp.GetVar(r.Context(), caddyhttp.ClientIPVarKey).(string)
	if text == "" {
		return netip.Addr{}
	}
	if ip, err := netip.ParseAddr(text); err == nil {
		return plainAddress(ip)
	}
	return addressOfPair(text)
}

// remoteAddress is the address at the other end of the connection.
func remoteAddress(r *http.Request) netip.Addr { return addressOfPair(r.RemoteAddr) }

func addressOfPair(text string) netip.Addr {
	pair, err := netip.ParseAddrPort(text)
	if err != nil {
		return netip.Addr{}
	}
	return plainAddress(pair.Addr())
}

func plainAddress(ip netip.Addr) netip.Addr { return ip.Unmap().WithZone("") }
