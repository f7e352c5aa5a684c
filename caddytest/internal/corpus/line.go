package corpus

import (
	"fmt"
	"strings"
)

// requestLines vary the three parts of a request line and what stands between them.
func requestLines(l *list) {
	for _, target := range targets() {
		for _, method := range []string{"GET", "OPTIONS", "CONNECT"} {
			l.add("target/"+method+" "+target, head(method+" "+target+" HTTP/1.1", "Host: a.test"))
		}
		l.add("target/1.0 "+target, head("GET "+target+" HTTP/1.0", "Host: a.test"))
	}
	for _, method := range []string{
		"", "get", "Get", "G", "G-E_T.!#$%&'*+^`|~", "GET\x00", "GET\t", "\tGET", "\x0bGET", "GET\x0b", "G(T", "G/T", "G\"T", "GET:", "G,T",
		"\xc3\xa9", "GET\xa0", "PRI", "PROPFIND", "CONNECT", "TRACE", "HTTP/1.1", strings.Repeat("M", 300), "POST\r", "M\x7f", "(GET)", "<GET>",
		"GET@", "G;T", "G=T", "G?T", "G[T", "G\\T", "G{T", "5", "0",
	} {
		l.add(fmt.Sprintf("method/%q", method), head(method+" /case HTTP/1.1", "Host: a.test"))
		l.add(fmt.Sprintf("method/%q with a body", method), head(method+" /case HTTP/1.1", "Host: a.test", "Content-Length: 5")+"hello"+Hidden)
	}
	for _, version := range []string{
		"", "HTTP/1.1 ", " HTTP/1.1", "HTTP/1.0", "HTTP/1.2", "HTTP/1.9", "HTTP/1.10", "HTTP/1.01", "HTTP/01.1", "HTTP/0.9", "HTTP/2.0", "HTTP/2", "HTTP/3.0",
		"HTTP/1", "HTTP/1.", "HTTP/.1", "HTTP/", "HTTP", "http/1.1", "Http/1.1", "HTTP/1.1\t", "\tHTTP/1.1", "HTTP/1.1\x00", "HTTP/1,1", "HTTP/1.1;", "HTTP/ 1.1",
		"HTTP /1.1", "HTTP/1 .1", "HTTP/+1.1", "HTTP/1.-1", "HTTP/1.1HTTP/1.1", "HTTP/1.1 HTTP/1.1", "HTTP\\1.1", "HTTPS/1.1", "ICY/1.1", "HTTP/1.1\x0b", "HTTP/A.B",
		"HTTP/1.1#", "HTTP/\xb9.1", "RTSP/1.0", "XHTTP/1.1", "HTTP/11", "HTTP/1.1.1", "HTTP/9.9",
	} {
		l.add(fmt.Sprintf("version/%q", version), head("GET /case "+version, "Host: a.test"))
		l.add(fmt.Sprintf("version/%q chunked", version), head("POST /case "+version, "Host: a.test", "Transfer-Encoding: chunked")+"5\r\nhello\r\n0\r\n\r\n"+Hidden)
	}
	for i, line := range []string{
		"GET  /case HTTP/1.1", "GET /case  HTTP/1.1", "GET\t/case\tHTTP/1.1", "GET\t/case HTTP/1.1", "GET /case\tHTTP/1.1", " GET /case HTTP/1.1", "\tGET /case HTTP/1.1",
		"GET /case HTTP/1.1 ", "GET /case", "GET", "", " ", "GET /case /hidden HTTP/1.1", "GET /case HTTP/1.1 /hidden HTTP/1.1", "GET\x0b/case\x0bHTTP/1.1",
		"GET\x0c/case HTTP/1.1", "GET\xa0/case HTTP/1.1", "GET /case\x00HTTP/1.1", "GET\r/case\rHTTP/1.1", "GET /case HTTP/1.1\x00", "/case HTTP/1.1", "HTTP/1.1 200 OK",
		"GET /case?GET /hidden HTTP/1.1", "GET \"/case\" HTTP/1.1", "GET </case> HTTP/1.1", "GET /case HTTP/1.1\x0bGET /hidden HTTP/1.1", "GET : HTTP/1.1", "Host: a.test",
		"PRI * HTTP/2.0", "PROXY TCP4 127.0.0.2 127.0.0.1 1 2", "GET HTTP/1.1", "GET HTTP/1.1 HTTP/1.1", "GET /case\r HTTP/1.1", "GET /case HTTP/1.1\r", "\x16\x03\x01\x02", "\x00",
	} {
		l.add(fmt.Sprintf("line/%d %.40q", i, line), head(line, "Host: a.test")+Hidden)
		l.add(fmt.Sprintf("line/%d %.40q behind an empty line", i, line), "\r\n"+head(line, "Host: a.test"))
	}
	for _, before := range []string{"\r\n", "\n", "\r\n\r\n", "\n\n", "\r\n\r\n\r\n\r\n\r\n", "\r", "\r\r\n", " \r\n", "\x00", "\x00\r\n", "\t\r\n", "\n\r", "\ufeff", "0\r\n\r\n", "\r\n \r\n", strings.Repeat("\r\n", 50)} {
		l.add(fmt.Sprintf("before/%q", before), before+get())
		l.add(fmt.Sprintf("before/%q post", before), before+post("hello", "Content-Length: 5"))
	}
}

// targets are the four forms of RFC 9112, section 3.2, and what resembles them.
func targets() []string {
	return []string{
		"/case", "/case?", "/case??", "/case?a b", "/", "//", "//b.test/case", "///", "//b.test:80/case", "/../case", "/./case", "/a/../../case", "/case/..", "/case/.", "/%2e%2e/case",
		"/%2F/case", "/%2f%2fb.test", "/case%00", "/case%0d%0a", "/case%20HTTP/1.1", "/case%", "/case%6", "/case%zz", "/case%u0041", "/case;a=b", "/case;a=b/c", "/case,", "/case#", "/case#x",
		"/case?#", "/case?a#b", "/case?/hidden", "/case?http://b.test/", "/case\\", "\\case", "/\\b.test/case", "/case\"", "/case<>", "/case{}", "/case|", "/case^`", "/case[]", "/case?[]", "/case?\"<>\\^`{|}",
		"/case?%", "/case?%zz", "/case\x80", "/\xc3\xa9", "/case?\xc3\xa9", "/case\t", "/case\x0b", "/case\x00", "/case\x7f", "/case?\x01", "/case\r", "/case\rx", "/case:80", "/case@b.test", "/@b.test", "/:80",
		"/case?a=b&c=d;e", "/case+x", "/case?+", "/~case", "/case!$&'()*+,;=", "/%63ase", "/%C3%A9", "/%c3%a9", "/case%7f", "/case%ff", "/%25", "/%252e",
		"*", "**", "*/case", "/*", "*?a", "?", "?a", "#", "case", "case/", "./case", "../case", "case?a", "%2fcase", "", "-", ".", "..", "~",
		"http://b.test", "http://b.test/", "http://b.test/case", "http://b.test?case", "http://b.test#x", "http://b.test/case#x", "http://b.test:80/case", "http://b.test:/case", "http://b.test:x/case",
		"http://b.test:99999/case", "HTTP://b.test/case", "hTTp://B.TEST/case", "https://b.test/case", "https://b.test:443/case", "http://", "http:///", "http:///case", "http:/case", "http:case", "http:", "http://:80/case",
		"http://u@b.test/case", "http://u:p@b.test/case", "http://@b.test/case", "http://:@b.test/case", "http://b.test@c.test/case", "http://[::1]/case", "http://[::1]:80/case", "http://[::1/case", "http://::1/case",
		"http://[fe80::1%25lo]/case", "http://[v1.a]/case", "http://b test/case", "http://b.test\\case", "http://b.test\\@c.test/case", "http://b.test,c.test/case", "http://b%2etest/case", "http://b.test%00/case", "http://b.test%0d%0aX:y/case",
		"http://\xc3\xa9.test/case", "http://%C3%A9.test/case", "http://b.test//case", "http://b.test/../case", "http://b.test /case", "http://b.test/case?a#b", "http://b.test/case HTTP/1.1\thttp://c.test/",
		"ftp://b.test/case", "file:///case", "ws://b.test/case", "h2c://b.test/case", "coap:b", "urn:a:b", "mailto:a@b.test", "javascript:alert(1)", "data:,x", "x:", "://b.test/case", "//", "http//b.test", "1http://b.test/", "unix:///case", "about:blank", "http+x://b.test/case",
		"b.test", "b.test:80", "b.test:", "b.test:x", ":80", "b.test:80/case", "[::1]:80", "[::1]", "::1", "u@b.test:80", "b.test:80:80", "b.test,c.test:80", "127.0.0.1:80", "b.test:080", "b.test:99999", "b_test:80", "b%2etest:80", "b.test:80?a", "b.test:80#a",
	}
}
