package lbproxy

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddylb/caddy-lb/lb"
)

// parseDial turns an upstream's dial address, as in reverse_proxy's JSON, into an address. scheme is the one
// that holds for it. Placeholders may stand in host and port.
func parseDial(dial, scheme string) (lb.Address, error) {
	network, host, port, err := caddy.SplitNetworkAddress(dial)
	if err != nil || (host == "" && port == "") {
		if !hasPlaceholder(dial) {
			return lb.Address{}, fmt.Errorf("%q is not an address to connect to: write host:port or unix//path", dial)
		}
		network, host, port = "", dial, ""
	}
	if network == "" {
		network = "tcp"
	}
	a := lb.Address{Scheme: scheme, Network: network, Host: host, Port: port}
	if a.IsUnix() || caddy.IsFdNetwork(network) {
		return a, nil
	}
	if hasPlaceholder(dial) {
		return a, nil
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return lb.Address{}, fmt.Errorf("%q: the port must be one number from 1 to 65535", dial)
	}
	return a, nil
}

// hasPlaceholder reports whether an address is complete only once a request is there.
func hasPlaceholder(s string) bool { return strings.Contains(s, "{") }

// needsLookup reports whether the address is a name that DNS can resolve.
func needsLookup(a lb.Address) bool {
	if a.IsUnix() || caddy.IsFdNetwork(a.Network) || hasPlaceholder(a.Host) || hasPlaceholder(a.Port) {
		return false
	}
	_, isIP := a.IP()
	return !isIP
}
