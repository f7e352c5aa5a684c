package syntax

import "bytes"

// HeadEnd looks for the end of a head in p: the length of the head with the empty line that ends it, or 0 when the end is not
// there yet. What is before from was looked at already. Lines end with LF, with or without CR before it (RFC 9112,
// section 2.2).
func HeadEnd(p []byte, from int) int {
	i := max(from-3, 0)
	for {
		n := bytes.IndexByte(p[i:], '\n')
		if n < 0 {
			return 0
		}
		i += n + 1
		rest := p[i:]
		if len(rest) > 0 && rest[0] == '\n' {
			return i + 1
		}
		if len(rest) > 1 && rest[0] == '\r' && rest[1] == '\n' {
			return i + 2
		}
	}
}
