package corpus

import (
	"fmt"
	"strings"
)

// lengthValues are notations of the length 5, and of others.
func lengthValues() []string {
	return []string{
		"5", "0", "05", "0005", strings.Repeat("0", 40) + "5", "+5", "-5", "-0", "+0", "0x5", "0X5", "5h", "0b101", "0o5", "5.0", "5.", ".5", "5e0", "5,5", "5, 5", "5,6", "5, 6", "6,5", "5,", ",5", ",", "5;5", "5;q=1", "5 5", "5\t5", "5 ", " 5 ", "\t5\t", "", " ", "\"5\"", "'5'", "5\x00", "\x005", "5\x0b",
		"\x0b5", "5\x0c", "5\xa0", "5\r", "5\r6", "5_0", "5'0", "١", "\xef\xbc\x95", "5a", "a", "true", "five", "18446744073709551621", "9223372036854775808", "9223372036854775807", "4294967301", "99999999999999999999999999", "1e1", "5/1", "5-5", "1-5", "(5)", "[5]", "{5}", "5\\", "5#", "5&", "5=5", "0, 5", "5, 0", "5, 05", "5, +5", "5, abc", "5\t, 5", "5,,5", "5 , 5", "5, 5, 5", "5, 5, 6",
	}
}

// lengths vary Content-Length.
func lengths(l *list) {
	for _, v := range lengthValues() {
		field := "Content-Length: " + v
		l.add(fmt.Sprintf("length/%q", v), post("hello"+Hidden, field))
		l.add(fmt.Sprintf("length/%q of GET", v), get(field)+"hello"+Hidden)
		l.add(fmt.Sprintf("length/%q in HTTP/1.0", v), head("POST /case HTTP/1.0", "Host: a.test", "Connection: keep-alive", field)+"hello"+Hidden)
		l.add(fmt.Sprintf("length/%q behind 5", v), post("hello"+Hidden, "Content-Length: 5", field))
		l.add(fmt.Sprintf("length/%q before 5", v), post("hello"+Hidden, field, "X-A: b", "content-length: 5"))
		l.add(fmt.Sprintf("length/%q alone and hidden", v), post(Hidden, field))
	}
	for name, fields := range pairs(
		"space before colon", "Content-Length : 5", "tab before colon", "Content-Length\t: 5", "no colon", "Content-Length 5", "underscore", "Content_Length: 5", "folded", "Content-Length:\r\n 5", "folded in two", "Content-Length: 5\r\n 5", "folded by tab", "Content-Length:\r\n\t5",
		"lower", "content-length: 5", "upper", "CONTENT-LENGTH: 5", "NUL in name", "Content-Length\x00: 5", "VT in name", "Content-Length\x0b: 5", "VT before name", "\x0bContent-Length: 5", "space before name", "X-A: b\r\n Content-Length: 5", "behind LF", "X-A: b\nContent-Length: 5",
		"behind CR", "X-A: b\rContent-Length: 5", "behind CR CR", "X-A: b\r\r\nContent-Length: 5", "nominated", "Content-Length: 5\r\nConnection: Content-Length", "nominated and close", "Content-Length: 5\r\nConnection: close, content-length", "hyphen", "Content--Length: 5", "space", "Content Length: 5",
		"X-", "X-Content-Length: 5", "quoted", "\"Content-Length\": 5", "two by LF", "Content-Length: 5\nContent-Length: 0", "two in other case", "Content-Length: 5\r\nCONTENT-LENGTH: 0", "with space and without", "Content-Length: 0\r\nContent-Length : 5", "nbsp", "Content-Length\xa0: 5",
	) {
		for _, method := range []string{"POST", "GET", "HEAD", "DELETE", "OPTIONS", "BREW"} {
			l.add("length line/"+name+" of "+method, head(method+" /case HTTP/1.1", "Host: a.test", fields)+"hello"+Hidden)
		}
	}
}
