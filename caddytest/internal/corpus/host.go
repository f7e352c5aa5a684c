package corpus

import "fmt"

// hosts vary Host: its value, how often and where it stands, and what it is beside an absolute
// target.
func hosts(l *list) {
	values := []string{
		"", " ", "a.test", "A.TEST", "a.test:80", "a.test:", "a.test:x", "a.test:-1", "a.test:99999", "a.test:80:80", ":80", ":", "a.test.", ".", "a..test", "a_test", "-a", "a%2etest", "a%zz", "a%", "a!$&'()*+,;=b", "[::1]", "[::1]:80", "[::1", "::1", "[::1]x", "[]",
		"[fe80::1%25lo]", "[fe80::1%lo]", "[1.2.3.4]", "[v1.a]", "127.0.0.1", "127.1", "0x7f.1", "a.test b.test", "a.test, b.test", "a.test,b.test", "a.test/", "a.test/hidden", "a.test?x", "a.test#x", "u@a.test", "u:p@a.test", "@a.test", "http://a.test", "//a.test", "\"a.test\"", "<a.test>", "a.test\\b",
		"a.test\x00", "a.test\x00b.test", "a.test\x01", "a.test\x7f", "a.test\t", "a.test\tb", "a.test\x0b", "\x0ba.test", "a.test\r", "a.test\rHost: b.test", "\xc3\xa9.test", "xn--9ca.test", "a.test\xa0", "*", "*.test", "a|b", "a^b", "a`b", "{a}", "(a)", "a;b", "a=b", "a~b",
	}
	for _, v := range values {
		l.add(fmt.Sprintf("host/%q", v), head("GET /case HTTP/1.1", "Host: "+v))
		l.add(fmt.Sprintf("host/%q and another before", v), head("GET /case HTTP/1.1", "Host: a.test", "Host: "+v))
		l.add(fmt.Sprintf("host/%q in HTTP/1.0", v), head("GET /case HTTP/1.0", "Connection: keep-alive", "Host: "+v))
		l.add(fmt.Sprintf("host/%q with absolute form", v), head("GET http://b.test/case HTTP/1.1", "Host: "+v))
	}
	for name, fields := range pairs(
		"none", "X-A: b", "upper", "HOST: a.test", "lower", "host: a.test", "space before colon", "Host : a.test", "tab before colon", "Host\t: a.test", "no colon", "Host a.test", "no space", "Host:a.test",
		"folded", "Host:\r\n a.test", "folded value", "Host: a.test\r\n b.test", "folded empty", "Host: a.test\r\n ", "first line folded", " Host: a.test", "first line folded and host", " X: y\r\nHost: a.test",
		"twice the same", "Host: a.test\r\nHost: a.test", "twice apart", "Host: a.test\r\nX-A: b\r\nHost: b.test", "twice in other case", "Host: a.test\r\nhOST: b.test", "second with space", "Host: a.test\r\nHost : b.test",
		"second with underscore", "Host: a.test\r\nHost_: b.test", "second empty", "Host: a.test\r\nHost:", "first empty", "Host:\r\nHost: a.test", "behind CR", "X-A: b\rHost: b.test\r\nHost: a.test", "behind LF", "X-A: b\nHost: a.test", "twice by LF", "Host: a.test\nHost: b.test",
		"NUL in name", "Ho\x00st: b.test\r\nHost: a.test", "NUL before name", "\x00Host: b.test\r\nHost: a.test", "X-Host", "Host: a.test\r\nX-Host: b.test", "X-Forwarded-Host", "Host: a.test\r\nX-Forwarded-Host: b.test", "Forwarded", "Host: a.test\r\nForwarded: host=b.test",
		"nominated", "Host: a.test\r\nConnection: Host", "quoted name", "\"Host\": b.test\r\nHost: a.test", "VT before name", "\x0bHost: b.test\r\nHost: a.test", "nbsp behind name", "Host\xa0: b.test\r\nHost: a.test", "pseudo", ":authority: b.test\r\nHost: a.test",
	) {
		for _, line := range []string{"GET /case HTTP/1.1", "GET /case HTTP/1.0", "GET http://c.test/case HTTP/1.1", "POST /case HTTP/1.1\r\nContent-Length: 5"} {
			raw := head(line, fields)
			if line[0] == 'P' {
				raw += "hello" + Hidden
			}
			l.add("host lines/"+name+"/"+line[:4], raw)
		}
	}
}

// pairs makes a sequence out of names and values, in their order.
func pairs(list ...string) func(func(name, value string) bool) {
	return func(yield func(string, string) bool) {
		for i := 0; i < len(list); i += 2 {
			if !yield(list[i], list[i+1]) {
				return
			}
		}
	}
}
