package h1server

import (
	"strings"
	"testing"
)

// head makes a head out of lines, each with CRLF, and adds the empty line.
func head(lines ...string) string { return strings.Join(lines, "\r\n") + "\r\n\r\n" }

func TestRequestLines(t *testing.T) {
	var scripts []script
	for name, line := range map[string]string{
		"get": "GET / HTTP/1.1", "query": "GET /a?b=c&d HTTP/1.1", "query ends": "GET /a? HTTP/1.1", "two questions": "GET /a?? HTTP/1.1",
		"head": "HEAD /a HTTP/1.1", "other method": "BREW /a HTTP/1.1", "lower-case method": "get /a HTTP/1.1",
		"all options": "OPTIONS * HTTP/1.1", "options": "OPTIONS /a HTTP/1.1", "asterisk": "GET * HTTP/1.1",
		"connect": "CONNECT b:80 HTTP/1.1", "connect a path": "CONNECT /a HTTP/1.1", "connect nothing": "CONNECT  HTTP/1.1",
		"absolute": "GET http://b:80/c?d HTTP/1.1", "absolute without path": "GET http://b HTTP/1.1", "absolute without host": "GET http:///c HTTP/1.1",
		"other scheme": "GET coap:b HTTP/1.1", "user": "GET http://u:p@b/ HTTP/1.1", "absolute, not ASCII": "GET http://%C3%A9/ HTTP/1.1",
		"escapes": "GET /%61%2Fb%20c HTTP/1.1", "bad escape": "GET /%6 HTTP/1.1", "zero": "GET /%00 HTTP/1.1", "escapes in query": "GET /?%zz HTTP/1.1",
		"two slashes": "GET //x HTTP/1.1", "two slashes and host": "GET //x:y/z HTTP/1.1", "dots": "GET /../a/./b HTTP/1.1", "odd characters": "GET /a!'()*[]|\"<>\\^`{}~;,@:& HTTP/1.1",
		"fragment": "GET /a#b HTTP/1.1", "fragment in query": "GET /a?b#c HTTP/1.1", "not ASCII": "GET /\xc3\xa9?\xff HTTP/1.1", "no slash": "GET a HTTP/1.1",
		"control": "GET /\x01 HTTP/1.1", "delete": "GET /?\x7f HTTP/1.1", "tab": "GET\t/ HTTP/1.1", "two spaces": "GET  / HTTP/1.1", "space at the end": "GET / HTTP/1.1 ",
		"space in target": "GET /a b HTTP/1.1", "no version": "GET /", "no target": "GET HTTP/1.1", "space first": " GET / HTTP/1.1", "empty": "",
		"lower-case version": "GET / http/1.1", "old version": "GET / HTTP/0.9", "version 1.2": "GET / HTTP/1.2", "version 2": "GET / HTTP/2.0", "version 3": "GET / HTTP/3.0",
		"preface": "PRI * HTTP/2.0", "long version": "GET / HTTP/1.10", "no token": "G(T / HTTP/1.1", "no method": " / HTTP/1.1", "not ASCII method": "G\xc3T / HTTP/1.1",
	} {
		s := script{name: name, steps: []string{head(line, "Host: a")}}
		if name == "preface" {
			s.mend, s.why = instead(refusal("505 HTTP Version Not Supported: unsupported protocol version")), "no handler takes over HTTP/2"
		}
		scripts = append(scripts, s)
	}
	compare(t, scripts)
}

// refusal is the answer to a request that is none.
func refusal(status string) string {
	return "HTTP/1.1 " + status + "\nConnection: close\nContent-Type: text/plain; charset=utf-8\nbody \"" + status + "\"\n"
}

func TestRequestFields(t *testing.T) {
	var scripts []script
	for name, fields := range map[string]string{
		"no host": "A: b", "empty host": "Host:", "two hosts": "Host: a\r\nHost: a", "bad host": "Host: a b", "host not ASCII": "Host: \xc3\xa9", "host in two lines": "Host: a\r\n b",
		"host with CR": "Host: a\r", "host with path": "Host: a/b", "host with port": "host: a:80", "upper-case host": "HOST: A", "host with bracket": "Host: [::1]:80",
		"many": "Host: a\r\nb: 1\r\nB: 2\r\nC-d: \t3 \t\r\ne:4\r\nf:\r\nB:3", "cookies": "Host: a\r\nCookie: a=b\r\nCookie: c=d",
		"space before the colon": "Host: a\r\nB : c", "tab before the colon": "Host: a\r\nB\t: c", "space in name": "Host: a\r\nB c: d", "no name": "Host: a\r\n: b", "no colon": "Host: a\r\nb",
		"bad name": "Host: a\r\nB(: c", "name not ASCII": "Host: a\r\n\xc3\xa9: c", "control in value": "Host: a\r\nB: c\x01d", "zero in value": "Host: a\r\nB: \x00", "delete in value": "Host: a\r\nB: \x7f",
		"CR in value": "Host: a\r\nB: c\rd", "CR ends value": "Host: a\r\nB: c\r", "value not ASCII": "Host: a\r\nB: \xc3\xa9", "tab in value": "Host: a\r\nB: c\td",
		"folded": "Host: a\r\nB: c\r\n d\r\n\t e", "folded to nothing": "Host: a\r\nB:\r\n ", "folded first": " Host: a", "bare LF": "Host: a\nB: c\nD: e", "bare LF before host": "A: b\nHost: a",
		"pragma": "Host: a\r\nPragma: no-cache", "pragma and control": "Host: a\r\nPragma: no-cache\r\nCache-Control: max-age=1", "trailer without chunks": "Host: a\r\nTrailer: B",
		"close": "Host: a\r\nConnection: close", "Close": "Host: a\r\nConnection: foo, Close", "close in second": "Host: a\r\nConnection: foo\r\nConnection: close", "keep-alive": "Host: a\r\nConnection: keep-alive",
		"upgrade": "Host: a\r\nConnection: Upgrade\r\nUpgrade: foo", "te": "Host: a\r\nTE: trailers", "known names": "Host: a\r\nETAG: b\r\nwww-authenticate: c\r\nx-request-ID: d",
		"expect other": "Host: a\r\nExpect: foo", "expect nothing": "Host: a\r\nExpect:", "expect without body": "Host: a\r\nExpect: 100-continue", "expect two": "Host: a\r\nExpect: foo, 100-continue",
		"large": "Host: a\r\nB: " + strings.Repeat("c", 8<<10), "huge": "Host: a\r\nB: " + strings.Repeat("c", 64<<10), "huge number": "Host: a\r\n" + strings.Repeat("b: c\r\n", 8<<10) + "D: e",
		"number": "Host: a\r\n" + strings.Repeat("b: c\r\n", 100) + "D: e",
	} {
		for _, version := range []string{"1.1", "1.0"} {
			s := script{name: name + " " + version, steps: []string{head("GET / HTTP/"+version, fields)}}
			scripts = append(scripts, s)
		}
	}
	compare(t, scripts)
}

func TestRequestLineEnds(t *testing.T) {
	compare(t, []script{
		{name: "LF alone", steps: []string{"GET / HTTP/1.1\nHost: a\n\n"}},
		{name: "LF at the end", steps: []string{"GET / HTTP/1.1\r\nHost: a\r\n\n"}},
		{name: "LF in the middle", steps: []string{"GET / HTTP/1.1\r\nHost: a\n\r\n"}},
		{name: "LF after the line", steps: []string{"GET / HTTP/1.1\nHost: a\r\n\r\n"}},
		{name: "CR CR LF", steps: []string{"GET / HTTP/1.1\r\r\nHost: a\r\n\r\n"}},
		{name: "empty line first", steps: []string{"\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"}},
		{name: "empty lines alone", steps: []string{"\r\n\r\n"}},
		{name: "empty line after POST", answers: 2, steps: []string{"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nb\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"}},
		{name: "empty lines after POST", answers: 2, steps: []string{"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nb\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"}},
		{name: "too many empty lines after POST", answers: 2, steps: []string{"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nb\r\n\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"}},
		{name: "end after POST and an empty line", steps: []string{"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nb\r\n"}, half: true},
		{name: "end at once", half: true},
		{name: "end in the line", steps: []string{"GET / HT"}, half: true},
		{name: "end in the fields", steps: []string{"GET / HTTP/1.1\r\nHost: a\r\n"}, half: true},
		{
			name: "end in a body", steps: []string{"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nbody"}, half: true,
			mend: closed, why: "an incomplete request ends the connection (RFC 9112, section 8)",
		},
		{name: "end in a chunk", steps: []string{"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nbody"}, half: true},
		{name: "end before the last chunk", steps: []string{"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n"}, half: true},
		{name: "end in trailers", steps: []string{"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\nA: b\r\n"}, half: true},
		{name: "no HTTP", steps: []string{"HELO a\r\n"}},
		{name: "TLS to plain", steps: []string{"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03\n"}},
		{name: "an octet at a time", answers: 4, octets: true, steps: []string{
			"GET /a?b HTTP/1.1\r\nHost: a\r\nC: d\r\n\r\n", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody",
			"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\nA: b\r\n\r\n", "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n",
		}},
		{name: "pipeline", answers: 4, steps: []string{"GET /1 HTTP/1.1\r\nHost: a\r\n\r\nPOST /2 HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbodyGET /3 HTTP/1.1\r\nHost: a\r\n\r\nHEAD /4 HTTP/1.1\r\nHost: a\r\n\r\n"}},
		{name: "long pipeline", answers: 400, steps: []string{strings.Repeat("GET /1 HTTP/1.1\r\nHost: a\r\n\r\nPOST /2 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n", 200)}},
		{name: "pipeline behind close", steps: []string{"GET /1 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n"}},
		{name: "HTTP/1.0", steps: []string{"GET /1 HTTP/1.0\r\n\r\n"}},
		{name: "HTTP/1.0 keep-alive", answers: 2, steps: []string{"GET /1 HTTP/1.0\r\nConnection: keep-alive\r\n\r\nGET /2 HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n"}},
		{name: "HTTP/1.0 POST", steps: []string{"POST /1 HTTP/1.0\r\nConnection: keep-alive\r\nContent-Length: 4\r\n\r\nbody"}},
		{name: "HTTP/1.0 keep-alive and HEAD", steps: []string{"HEAD /1 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"}},
	})
}
