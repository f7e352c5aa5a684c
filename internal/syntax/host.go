package syntax

import (
	"net/netip"
	"strings"
)

// IsHost reports whether s is the value of a Host field: a name or an address, with or without a
// port, or nothing (RFC 9110, section 7.2; RFC 3986, section 3.2.2).
func IsHost(s string) bool {
	i := 0
	if strings.HasPrefix(s, "[") {
		end := strings.IndexByte(s, ']')
		if end < 0 || !isIPLiteral(s[1:end]) {
			return false
		}
		i = end + 1
	} else {
		for ; i < len(s) && s[i] != ':'; i++ {
			if classes[s[i]]&hostChar == 0 && !isEscape(s[i:]) {
				return false
			}
		}
	}
	if i == len(s) {
		return true
	}
	if s[i] != ':' {
		return false
	}
	for i++; i < len(s); i++ {
		if !IsDigit(s[i]) {
			return false
		}
	}
	return true
}

// isEscape reports whether s begins with an octet in percent-encoding (RFC 3986, section 2.1).
func isEscape(s string) bool {
	return len(s) > 2 && s[0] == '%' && isHexDigit(s[1]) && isHexDigit(s[2])
}

func isHexDigit(c byte) bool {
	return IsDigit(c) || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}

// isIPLiteral reports whether s is what may stand in brackets: an IPv6 address without a zone, or
// one of a later version.
func isIPLiteral(s string) bool {
	if s == "" || s[0] != 'v' && s[0] != 'V' {
		address, err := netip.ParseAddr(s)
		return err == nil && address.Is6() && address.Zone() == ""
	}
	version, address, _ := strings.Cut(s[1:], ".")
	for i := range len(version) {
		if !isHexDigit(version[i]) {
			return false
		}
	}
	for i := range len(address) {
		if address[i] != ':' && classes[address[i]]&hostChar == 0 {
			return false
		}
	}
	return version != "" && address != ""
}
