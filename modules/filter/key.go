package filter

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"

	"github.com/caddylb/caddy-lb/internal/placeholder"
)

// limitKey is what a limit counts by: text with placeholders.
type limitKey struct {
	text    string
	single  string // the name of the placeholder that is all of the text; empty for other text
	address bool   // the placeholder is an address of the client's
}

// clientNetworkBits is how much of an IPv6 address makes a client: providers hand out networks of this size or larger, and who has one can
// use another address for each request (RFC 6177).
const clientNetworkBits = 64

// parseLimitKey compiles text.
func parseLimitKey(text string) (limitKey, error) {
	whole, n, err := placeholder.Scan(text)
	switch {
	case err != nil:
		return limitKey{}, fmt.Errorf("the key '%s': %w", text, err)
	case text == "":
		return limitKey{}, errors.New("the key is missing: write a placeholder, such as {client_ip}")
	case n == 0:
		return limitKey{}, fmt.Errorf("the key '%s' is the same for every request: write a placeholder, such as {client_ip}", text)
	case !whole:
		return limitKey{text: text}, nil
	}
	k := limitKey{text: text, single: text[1 : len(text)-1]}
	switch k.single {
	case "client_ip":
		k.single, k.address = "http.vars.client_ip", true
	case "http.vars.client_ip", "http.request.remote.host":
		k.address = true
	}
	return k, nil
}

// of is the key of a request.
func (k *limitKey) of(x *Context) string {
	if k.single == "" {
		return x.Replacer.ReplaceAll(k.text, "")
	}
	value, _ := x.Replacer.GetString(k.single)
	if k.address && strings.IndexByte(value, ':') >= 0 {
		return clientOf(value)
	}
	return value
}

// clientOf is the network of an IPv6 address, and the IPv4 address that it stands for, if it does.
func clientOf(address string) string {
	ip, err := netip.ParseAddr(address)
	if err != nil {
		return address
	}
	ip = plainAddress(ip)
	if ip.Is4() {
		return ip.String()
	}
	network, err := ip.Prefix(clientNetworkBits)
	if err != nil {
		return address
	}
	return network.Addr().String()
}

// unmarshalKey parses the argument that d is before. Sites have their shorthands replaced before directives are parsed, global options do not.
func unmarshalKey(d *caddyfile.Dispenser, usage string) (string, error) {
	if !d.NextArg() {
		return "", d.Errf("the key is missing: write '%s', with a placeholder such as {client_ip}", usage)
	}
	segment := caddyfile.Segment{{Text: d.Val()}}
	httpcaddyfile.NewShorthandReplacer().ApplyToSegment(&segment)
	text := segment[0].Text
	if _, err := parseLimitKey(text); err != nil {
		return "", d.WrapErr(err)
	}
	return text, nil
}
