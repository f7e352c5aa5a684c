package judge

import (
	"fmt"
	"strings"
)

// Path is a path with its query in one form for all that mean the same (RFC 3986, section 6.2.2):
// escapes in upper case, none for unreserved characters, and one for whatever must have one.
func Path(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c == '%' && i+2 < len(s) {
			var v int
			if n, _ := fmt.Sscanf(s[i+1:i+3], "%02x", &v); n == 1 && isHexPair(s[i+1:i+3]) {
				if strings.IndexByte(unreserved, byte(v)) >= 0 {
					b.WriteByte(byte(v))
				} else {
					fmt.Fprintf(&b, "%%%02X", v)
				}
				i += 2
				continue
			}
		}
		if strings.IndexByte(unreserved+"!$&'()*+,;=:@/?", c) >= 0 {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

const unreserved = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~"

func isHexPair(s string) bool { return strings.Trim(s, "0123456789abcdefABCDEF") == "" }
