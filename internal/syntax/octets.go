package syntax

// Classes of octets in a table, so that a check is one look for each.
const (
	tokenChar  = 1 << iota // RFC 9110, section 5.6.2
	valueChar              // of a field's value: visible characters, obs-text, space and tab (section 5.5)
	targetChar             // of a request target: anything but controls and space
	hostChar               // of a registered name: unreserved characters and sub-delims (RFC 3986, section 3.2.2)
)

var classes = func() (t [256]uint8) {
	for c := range 256 {
		if c >= ' ' && c != 0x7f || c == '\t' {
			t[c] |= valueChar
		}
		if c > ' ' && c != 0x7f {
			t[c] |= targetChar
		}
	}
	for _, c := range "!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz" {
		t[c] |= tokenChar
	}
	for _, c := range "-._~!$&'()*+,;=0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz" {
		t[c] |= hostChar
	}
	return t
}()

func isClass[T string | []byte](s T, class uint8) bool {
	for i := range len(s) {
		if classes[s[i]]&class == 0 {
			return false
		}
	}
	return true
}

// IsToken reports whether s is a token (RFC 9110, section 5.6.2), as methods and names of fields are.
func IsToken(s string) bool { return s != "" && isClass(s, tokenChar) }

// IsFieldValue reports whether s has only what a field's value may have (RFC 9110, section 5.5).
func IsFieldValue(s string) bool { return isClass(s, valueChar) }

// IsTargetChar reports whether c may stand in a request target: anything but controls and space does.
func IsTargetChar(c byte) bool { return classes[c]&targetChar != 0 }

// IsDigit reports whether c is a decimal digit.
func IsDigit(c byte) bool { return '0' <= c && c <= '9' }

// IsASCII reports whether s has no octet above 127.
func IsASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}
