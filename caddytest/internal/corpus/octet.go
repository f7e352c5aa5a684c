package corpus

import (
	"fmt"
	"strings"
)

// special are the octets that mean something to some reader of a message.
const special = "\x00\x01\x07\x08\t\n\x0b\x0c\r\x1b\x1f !\"#$%&'()*+,-./09:;<=>?@AZ[\\]^_`az{|}~\x7f\x80\x85\xa0\xad\xff"

// octets put each special octet into each place of a message.
func octets(l *list) {
	for i := range len(special) {
		c := special[i : i+1]
		for name, raw := range pairs(
			"path", head("GET /ca"+c+"se HTTP/1.1", "Host: a.test"),
			"query", head("GET /case?a"+c+"b HTTP/1.1", "Host: a.test"),
			"first of the target", head("GET "+c+"/case HTTP/1.1", "Host: a.test"),
			"name", get("X"+c+"A: b"),
			"end of a name", get("X-A"+c+": b"),
			"start of a name", get(c+"X-A: b"),
			"value", get("X-A: b"+c+"c"),
			"start of a value", get("X-A:"+c+"b"),
			"end of a value", get("X-A: b"+c),
			"length", post("hello"+Hidden, "Content-Length: 5"+c),
			"start of a length", post("hello"+Hidden, "Content-Length:"+c+"5"),
			"coding", chunked("0\r\n\r\n"+Hidden, "X-A: b\r\nTransfer-Encoding: chunked"+c),
			"chunk size", chunked("5"+c+"\r\nhello\r\n0\r\n\r\n"+Hidden),
			"end of a chunk", chunked("5\r\nhello"+c+"\r\n0\r\n\r\n"+Hidden),
			"trailer's name", chunked("5\r\nhello\r\n0\r\nX"+c+"A: b\r\n\r\n"+Hidden, "Trailer: X-A"),
			"trailer's value", chunked("5\r\nhello\r\n0\r\nX-A: b"+c+"c\r\n\r\n"+Hidden, "Trailer: X-A"),
		) {
			l.add(fmt.Sprintf("octet/%q in %s", c, name), raw)
		}
	}
}

// templates are requests to be damaged.
func templates() map[string]string {
	return map[string]string{
		"get":     get("X-A: b"),
		"post":    post("hello", "Content-Length: 5", "X-A: b") + Hidden,
		"chunked": chunked("5\r\nhello\r\n0\r\nX-B: c\r\n\r\n", "Trailer: X-B") + Hidden,
	}
}

// lineEnds replace the end of one line, of all, and of the head.
func lineEnds(l *list) {
	for _, kind := range []string{"get", "post", "chunked"} {
		raw := templates()[kind]
		lines := strings.SplitAfter(raw, "\r\n")
		for _, end := range lineEndings() {
			for i := range lines {
				if !strings.HasSuffix(lines[i], "\r\n") || i > 7 {
					continue
				}
				changed := strings.Join(lines[:i], "") + strings.TrimSuffix(lines[i], "\r\n") + end + strings.Join(lines[i+1:], "")
				l.add(fmt.Sprintf("end/%s: %q behind line %d", kind, end, i+1), changed)
			}
			l.add(fmt.Sprintf("end/%s: %q everywhere", kind, end), strings.ReplaceAll(raw, "\r\n", end))
		}
	}
}

// mutants are damaged in one octet each.
func mutants(l *list) {
	for _, kind := range []string{"get", "post", "chunked"} {
		raw := templates()[kind]
		for i := 0; i < len(raw) && i < 140; i++ {
			l.add(fmt.Sprintf("mutant/%s without octet %d", kind, i), raw[:i]+raw[i+1:])
			if kind == "chunked" || i%3 == 0 {
				l.add(fmt.Sprintf("mutant/%s with octet %d twice", kind, i), raw[:i+1]+raw[i:])
			}
			if i%4 == 0 {
				l.add(fmt.Sprintf("mutant/%s with octet %d changed", kind, i), raw[:i]+string([]byte{raw[i] ^ 0x20})+raw[i+1:])
			}
		}
	}
}
