package filter

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// privateRanges stands for the networks of RFC 1918 and RFC 4193, and loopback, as in Caddy's matchers.
const privateRanges = "private_ranges"

// prefixSet is a set of addresses: prefixes none of which contains another, in order, so that the only one that can contain an address is
// the last that does not begin behind it. Lookups take time logarithmic in the number of prefixes. It is not changed once built.
type prefixSet []netip.Prefix

// newPrefixSet builds the set of the addresses in any of the prefixes, which it sorts in place.
func newPrefixSet(prefixes []netip.Prefix) prefixSet {
	slices.SortFunc(prefixes, netip.Prefix.Compare)
	// Prefixes contain each other or are apart, and a longer one follows the one that contains it.
	set := prefixes[:0]
	for _, p := range prefixes {
		if len(set) == 0 || !set[len(set)-1].Overlaps(p) {
			set = append(set, p)
		}
	}
	return slices.Clip(set)
}

// contains reports whether the address, which is plain as [clientAddress] returns it, is in the set.
func (s prefixSet) contains(ip netip.Addr) bool {
	i, found := slices.BinarySearchFunc(s, ip, func(p netip.Prefix, ip netip.Addr) int { return p.Addr().Compare(ip) })
	return found || i > 0 && s[i-1].Contains(ip)
}

// parsePrefixes reads an entry of a list: a CIDR prefix, an address, or private_ranges.
func parsePrefixes(entry string) ([]netip.Prefix, error) { return appendPrefixes(nil, entry) }

// appendPrefixes is parsePrefixes behind the prefixes there are.
func appendPrefixes(to []netip.Prefix, entry string) ([]netip.Prefix, error) {
	if entry == privateRanges {
		for _, text := range caddyhttp.PrivateRangesCIDR() {
			p, err := caddyhttp.CIDRExpressionToPrefix(text)
			if err != nil {
				return nil, err
			}
			to = append(to, plainPrefix(p))
		}
		return to, nil
	}
	p, err := caddyhttp.CIDRExpressionToPrefix(entry)
	if err != nil {
		return nil, fmt.Errorf("'%.64s' is neither an address nor a CIDR prefix: write 192.0.2.1, 10.0.0.0/8 or %s", entry, privateRanges)
	}
	return append(to, plainPrefix(p)), nil
}

// plainPrefix cuts what is beyond the prefix's length, and makes one of IPv4 addresses written as IPv6 ones (RFC 4291, section 2.5.5.2) one
// of IPv4 addresses.
func plainPrefix(p netip.Prefix) netip.Prefix {
	if p.Addr().Is4In6() && p.Bits() >= 96 {
		p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	return p.Masked()
}

// maxListLine is the most bytes of a line of a list, comment included.
const maxListLine = 4 << 10

// parsePrefixList reads a list with an entry in each line, and with comments that begin with #. It
// keeps no more of the list in memory than a line and the prefixes. Errors name the line.
func parsePrefixList(path string, list io.Reader) ([]netip.Prefix, error) {
	var all []netip.Prefix
	lines := bufio.NewScanner(list)
	lines.Buffer(nil, maxListLine)
	line := 0
	for lines.Scan() {
		line++
		entry, _, _ := bytes.Cut(lines.Bytes(), []byte("#"))
		if entry = bytes.TrimSpace(entry); len(entry) == 0 {
			continue
		}
		var err error
		if all, err = appendPrefixes(all, string(entry)); err != nil {
			return nil, fmt.Errorf("%s:%d: %w", path, line, err)
		}
	}
	if errors.Is(lines.Err(), bufio.ErrTooLong) {
		return nil, fmt.Errorf("%s:%d: the line has more than %d bytes: write one address or CIDR prefix a line", path, line+1, maxListLine)
	}
	return slices.Clip(all), lines.Err()
}
