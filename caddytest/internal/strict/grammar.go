package strict

import (
	"net/netip"
	"strings"
)

const (
	digits     = "0123456789"
	letters    = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	unreserved = letters + digits + "-._~"            // RFC 3986, section 2.3
	subDelims  = "!$&'()*+,;="                        // RFC 3986, section 2.2
	tokenChars = letters + digits + "!#$%&'*+-.^_`|~" // RFC 9110, section 5.6.2
)

// only reports whether s has no other characters than these.
func only(s, chars string) bool {
	for i := range len(s) {
		if strings.IndexByte(chars, s[i]) < 0 {
			return false
		}
	}
	return true
}

// isToken is RFC 9110, section 5.6.2.
func isToken(s string) bool { return s != "" && only(s, tokenChars) }

// isNumber reports whether s is 1*DIGIT.
func isNumber(s string) bool { return s != "" && only(s, digits) }

// isContent reports whether s has nothing but VCHAR, obs-text, SP and HTAB (RFC 9110, section 5.5).
func isContent(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}

// isURI reports whether s has only these characters, and escapes (RFC 3986, section 2.1).
func isURI(s, chars string) bool {
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '%':
			if i+2 >= len(s) || !isHex(s[i+1]) || !isHex(s[i+2]) {
				return false
			}
			i += 2
		case strings.IndexByte(chars, s[i]) < 0:
			return false
		}
	}
	return true
}

func isHex(c byte) bool { return strings.IndexByte(digits+"abcdefABCDEF", c) >= 0 }

// isLoose reports whether s has neither space nor controls nor "#".
func isLoose(s string) bool {
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c == 0x7f || c == '#' {
			return false
		}
	}
	return true
}

// isHostPort is uri-host [ ":" port ] (RFC 9110, section 7.2; RFC 3986, section 3.2.2).
func isHostPort(s string) bool {
	rest, bracket := strings.CutPrefix(s, "[")
	if bracket {
		literal, port, ok := strings.Cut(rest, "]")
		return ok && isIPLiteral(literal) && (port == "" || port[0] == ':' && only(port[1:], digits))
	}
	host, port, _ := strings.Cut(s, ":")
	return only(port, digits) && isURI(host, unreserved+subDelims)
}

// isIPLiteral is what stands in brackets: an IPv6 address without a zone, or one of the future.
func isIPLiteral(s string) bool {
	if future, ok := strings.CutPrefix(strings.ToLower(s), "v"); ok {
		version, address, ok := strings.Cut(future, ".")
		return ok && version != "" && only(version, digits+"abcdef") && address != "" && only(address, unreserved+subDelims+":")
	}
	address, err := netip.ParseAddr(s)
	return err == nil && address.Is6() && address.Zone() == ""
}
