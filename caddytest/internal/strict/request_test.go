package strict

import (
	"bytes"
	"errors"
	"strings"
	"testing"
)

// head makes a head out of lines, each with CRLF, and adds the empty line.
func head(lines ...string) string { return strings.Join(lines, "\r\n") + "\r\n\r\n" }

func get(fields ...string) string {
	return head(append([]string{"GET / HTTP/1.1", "Host: a"}, fields...)...)
}

func chunked(body string) string {
	return head("POST / HTTP/1.1", "Host: a", "Transfer-Encoding: chunked") + body
}

// refused are requests with the one rule that each violates.
var refused = map[Rule][]string{
	LineEnd:     {"GET / HTTP/1.1\nHost: a\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\n\r\n", "GET / HTTP/1.1\r\nHost: a\r\n\n"},
	FirstBlank:  {"GET / HTTP/1.1\r\n Host: a\r\nHost: b\r\n\r\n", chunked("0\r\n A: b\r\n\r\n"), chunked("0\r\n\tA: b\r\n\r\n")},
	FirstLine:   {"\r\n" + get()},
	RequestLine: {"GET  / HTTP/1.1\r\nHost: a\r\n\r\n", "GET / HTTP/1.1 \r\nHost: a\r\n\r\n", " GET / HTTP/1.1\r\nHost: a\r\n\r\n", "GET /\r\nHost: a\r\n\r\n", "GET /a b HTTP/1.1\r\nHost: a\r\n\r\n"},
	Version:     {head("GET / http/1.1", "Host: a"), head("GET / HTTP/1.10", "Host: a"), head("GET / HTTP/1", "Host: a"), head("GET / HTTP/a.1", "Host: a"), head("GET / HTTP/11.1", "Host: a"), head("GET / HTP/1.1", "Host: a")},
	Major:       {head("GET / HTTP/2.0", "Host: a"), head("GET / HTTP/0.9", "Host: a")},
	Method:      {head("G(T / HTTP/1.1", "Host: a"), head("G\xc3T / HTTP/1.1", "Host: a"), head("GET\t / HTTP/1.1", "Host: a"), head("\x00GET / HTTP/1.1", "Host: a")},
	TargetForm:  {head("GET a HTTP/1.1", "Host: a"), head("GET a:80 HTTP/1.1", "Host: a"), head("GET http:/a HTTP/1.1", "Host: a"), head("GET ?a HTTP/1.1", "Host: a")},
	TargetChars: {head("GET /a#b HTTP/1.1", "Host: a"), head("GET /a?b#c HTTP/1.1", "Host: a"), head("GET /\x01 HTTP/1.1", "Host: a"), head("GET /\rx HTTP/1.1", "Host: a"), head("GET /%6 HTTP/1.1", "Host: a"), head("GET /%zz HTTP/1.1", "Host: a"), head("GET /\xc3 HTTP/1.1", "Host: a"), head("GET /a|b HTTP/1.1", "Host: a"), head("GET /a\tb HTTP/1.1", "Host: a"), head("GET http://a#b HTTP/1.1", "Host: a")},
	Asterisk:    {head("GET * HTTP/1.1", "Host: a")},
	Scheme:      {head("GET ftp://a/ HTTP/1.1", "Host: a")},
	UserInfo:    {head("GET http://u:p@a/ HTTP/1.1", "Host: a"), head("GET http://u@a/ HTTP/1.1", "Host: a")},
	ConnectForm: {head("CONNECT /a HTTP/1.1", "Host: a"), head("CONNECT a HTTP/1.1", "Host: a"), head("CONNECT a: HTTP/1.1", "Host: a"), head("CONNECT http://a:80 HTTP/1.1", "Host: a"), head("CONNECT :80 HTTP/1.1", "Host: a")},
	HostOnce:    {get("Host: a"), get("host: b")},
	HostMissing: {head("GET / HTTP/1.1", "A: b"), head("GET http://a/ HTTP/1.1", "A: b")},
	HostValue:   {head("GET / HTTP/1.1", "Host: a b"), head("GET / HTTP/1.1", "Host: a/b"), head("GET / HTTP/1.1", "Host: a:b"), head("GET / HTTP/1.1", "Host: u@a"), head("GET / HTTP/1.1", "Host: a, b,\"c\""), head("GET / HTTP/1.1", "Host: [::1"), head("GET / HTTP/1.1", "Host: [::1]80"), head("GET / HTTP/1.1", "Host: [::1%25a]"), head("GET / HTTP/1.1", "Host: [1.2.3.4]"), head("GET / HTTP/1.1", "Host: \xc3\xa9"), head("GET http://a:b/ HTTP/1.1", "Host: a"), head("GET http:///c HTTP/1.1", "Host: a"), head("GET http://:80/c HTTP/1.1", "Host: a")},

	FieldColon: {get("A b"), get("A")},
	NameSpace:  {get("A : b"), get("A\t: b"), get("Content-Length : 1")},
	FieldName:  {get(": b"), get("A b: c"), get("A(: b"), get("\xc3: b"), get("A\x00: b"), get("A\x0b: b")},
	FieldValue: {get("A: b\x00"), get("A: b\rc"), get("A: b\r"), get("A: \x01"), get("A: b\x7f"), get("A: \x0bb"), chunked("0\r\nA: \x00\r\n\r\n")},
	Fold:       {get("A: b", " c"), get("A: b", "\tc"), get("A: b", " "), chunked("0\r\nA: b\r\n c\r\n\r\n")},

	CodingInOld:    {head("POST / HTTP/1.0", "Transfer-Encoding: chunked") + "0\r\n\r\n"},
	Coding:         {get("Transfer-Encoding: xchunked"), get("Transfer-Encoding: xchunked") + "0\r\n\r\n", get("Transfer-Encoding:"), get("Transfer-Encoding: identity"), get("Transfer-Encoding: chunked, chunked"), get("Transfer-Encoding: chunked", "Transfer-Encoding: chunked"), get("Transfer-Encoding: gzip, chunked"), get("Transfer-Encoding: chunked, identity"), get("Transfer-Encoding: \"chunked\""), get("Transfer-Encoding: chunked;a=b"), get("Transfer-Encoding: chun ked")},
	TwoFramings:    {get("Content-Length: 5", "Transfer-Encoding: chunked") + "0\r\n\r\n", get("Transfer-Encoding: chunked", "Content-Length: 0") + "0\r\n\r\n"},
	Length:         {get("Content-Length: +0"), get("Content-Length: -1"), get("Content-Length: 0x0"), get("Content-Length:"), get("Content-Length: 0, a"), get("Content-Length: 0,"), get("Content-Length: 0 0"), get("Content-Length: \"0\""), get("Content-Length: 0;a"), get("Content-Length: 0.0"), get("Content-Length: 0_0")},
	OneLength:      {get("Content-Length: 0", "Content-Length: 1") + "b", get("Content-Length: 0, 1") + "b", get("Content-Length: 0", "Content-Length: 0"), get("Content-Length: 0,0"), get("Content-Length: 0, 00")},
	ConnectContent: {head("CONNECT a:80 HTTP/1.1", "Host: a", "Content-Length: 1") + "b", head("CONNECT a:80 HTTP/1.1", "Host: a", "Transfer-Encoding: chunked") + "0\r\n\r\n"},

	ChunkSize:  {chunked("x\r\n\r\n"), chunked("\r\n\r\n"), chunked("-1\r\n\r\n"), chunked("+1\r\na\r\n"), chunked(" 0\r\n\r\n"), chunked(";a\r\n\r\n"), chunked("_0\r\n\r\n")},
	ChunkLine:  {chunked("1\na\r\n0\r\n\r\n"), chunked("1\r\r\na\r\n0\r\n\r\n"), chunked("1;a=\rb\r\na\r\n0\r\n\r\n"), chunked("1;a=\nb\r\n0\r\n\r\n"), chunked("0\n\r\n"), chunked("1;\x00a\r\na\r\n0\r\n\r\n")},
	Extension:  {chunked("0x1\r\n\r\n"), chunked("0_1\r\n\r\n"), chunked("0 \r\n\r\n"), chunked("0;\r\n\r\n"), chunked("0;a=\r\n\r\n"), chunked("0;a=\"b\r\n\r\n"), chunked("0;=a\r\n\r\n"), chunked("0;a b\r\n\r\n"), chunked("0,a\r\n\r\n"), chunked("0\t\r\n\r\n"), chunked("0;a=\"\\\"\r\n\r\n"), chunked("0;a\"b\"\r\n\r\n"), chunked("0;a=;b\r\n\r\n")},
	ChunkEnd:   {chunked("1\r\nabc\r\n0\r\n\r\n"), chunked("1\r\na\n0\r\n\r\n"), chunked("1\r\na0\r\n\r\n"), chunked("1\r\na\r0\r\n\r\n"), chunked("2\r\na\r\n0\r\n\r\n")},
	TrailerEnd: {chunked("0\r\nA: b\n\r\n"), chunked("0\r\nA: b\r\n\n"), chunked("0\r\n\n")},
}

func TestRefusedRequests(t *testing.T) {
	for rule, requests := range refused {
		for _, raw := range requests {
			m, _, err := Reader{}.Request([]byte(raw))
			var f *Fault
			if !errors.As(err, &f) || f.Rule != rule {
				t.Errorf("%q: %v, %v; want a violation of %q", raw, m, err, rule)
			}
		}
	}
}

// Each rule has a request that nothing else refuses: a reader without it would fail
// TestRefusedRequests.
func TestEachRuleIsNeeded(t *testing.T) {
	for rule, requests := range refused {
		accepted := 0
		for _, raw := range requests {
			if _, _, err := (Reader{off: rule}).Request([]byte(raw)); err == nil {
				accepted++
			}
		}
		if accepted == 0 {
			t.Errorf("without %q all of its requests are refused still", rule)
		}
	}
}

func TestRequests(t *testing.T) {
	for raw, want := range map[string]Request{
		get():                       {Method: "GET", Target: "/", Authority: "a", Path: "/", Minor: 1},
		get("a:b", "A: \t c\td\t "): {Method: "GET", Target: "/", Authority: "a", Path: "/", Minor: 1},
		head("get /a;b=c//d/../e?f=g?h/&%41!$'()*+,:@~ HTTP/1.1", "host:"):                                 {Method: "get", Target: "/a;b=c//d/../e?f=g?h/&%41!$'()*+,:@~", Path: "/a;b=c//d/../e?f=g?h/&%41!$'()*+,:@~", Minor: 1},
		head("GET http://b:80/c?d HTTP/1.1", "Host: a"):                                                    {Method: "GET", Target: "http://b:80/c?d", Authority: "b:80", Path: "/c?d", Minor: 1},
		head("GET HTTPS://[::1]:8080 HTTP/1.1", "Host: a"):                                                 {Method: "GET", Target: "HTTPS://[::1]:8080", Authority: "[::1]:8080", Path: "/", Minor: 1},
		head("GET http://b?c HTTP/1.1", "Host: [v1.a:b]:"):                                                 {Method: "GET", Target: "http://b?c", Authority: "b", Path: "/?c", Minor: 1},
		head("OPTIONS * HTTP/1.1", "Host: a%20b:"):                                                         {Method: "OPTIONS", Target: "*", Authority: "a%20b:", Path: "*", Minor: 1},
		head("CONNECT b:80 HTTP/1.1", "Host: a"):                                                           {Method: "CONNECT", Target: "b:80", Authority: "b:80", Minor: 1},
		head("GET / HTTP/1.0"):                                                                             {Method: "GET", Target: "/", Path: "/", Last: true},
		head("GET / HTTP/1.0", "Connection: Keep-Alive"):                                                   {Method: "GET", Target: "/", Path: "/"},
		head("GET / HTTP/1.9", "Host: a", "Connection: x, Close"):                                          {Method: "GET", Target: "/", Authority: "a", Path: "/", Minor: 1, Last: true},
		get("Content-Length: 0"):                                                                           {Method: "GET", Target: "/", Authority: "a", Path: "/", Minor: 1},
		get("content-length: \t 03 ") + "abc":                                                              {Method: "GET", Target: "/", Authority: "a", Path: "/", Minor: 1, Body: []byte("abc")},
		chunked("0\r\n\r\n"):                                                                               {Method: "POST", Target: "/", Authority: "a", Path: "/", Minor: 1, Chunked: true},
		chunked("1\r\na\r\n00A ;b\t; c = d;e=\"f;\\\" g\x80\"\r\n0123456789\r\n000\r\nA: b\r\nb:\r\n\r\n"): {Method: "POST", Target: "/", Authority: "a", Path: "/", Minor: 1, Chunked: true, Body: []byte("a0123456789"), Trailers: Fields{{"A", "b"}, {"b", ""}}},
		head("POST / HTTP/1.1", "Host: a", "Transfer-Encoding: ,\t CHUNKED , ") + "0\r\n\r\n":              {Method: "POST", Target: "/", Authority: "a", Path: "/", Minor: 1, Chunked: true},
	} {
		m, n, err := Reader{}.Request([]byte(raw + "next"))
		if err != nil || n != len(raw) {
			t.Errorf("%q: %v, %d of %d bytes", raw, err, n, len(raw))
			continue
		}
		if m.Method != want.Method || m.Target != want.Target || m.Authority != want.Authority || m.Path != want.Path || m.Minor != want.Minor ||
			!bytes.Equal(m.Body, want.Body) || m.Chunked != want.Chunked || m.Last != want.Last || len(m.Trailers) != len(want.Trailers) {
			t.Errorf("%q: %+v, want %+v", raw, m, want)
		}
		for end := range len(raw) {
			if m, _, err := (Reader{}).Request([]byte(raw[:end])); !errors.Is(err, ErrIncomplete) {
				t.Errorf("%q, of which %d bytes are missing: %v, %v", raw, len(raw)-end, m, err)
			}
		}
	}
}

// A length beyond any that can come does not end, and does not wrap round to one that does.
func TestHugeLengthsAreIncomplete(t *testing.T) {
	for _, raw := range []string{
		get("Content-Length: 18446744073709551617") + "a", get("Content-Length: 99999999999999999999999999999999") + "a",
		chunked("10000000000000001\r\na\r\n0\r\n\r\n"), chunked("ffffffffffffffff\r\na\r\n0\r\n\r\n"), chunked("fffffffff1\r\na"),
	} {
		if m, _, err := (Reader{}).Request([]byte(raw)); !errors.Is(err, ErrIncomplete) {
			t.Errorf("%q: %v, %v", raw, m, err)
		}
	}
}

// What an RFC lets a recipient accept is accepted when it is allowed, and noted.
func TestEases(t *testing.T) {
	for raw, want := range map[string]Ease{
		"\r\n\r\n" + get():                                                   EmptyLines,
		"GET / HTTP/1.1\nHost: a\n\n":                                        BareLF,
		"\nGET / HTTP/1.1\r\nHost: a\r\n\r\n":                                BareLF | EmptyLines,
		get("A: b", " c", "\t d "):                                           ObsFold,
		get("Content-Length: 0", "Content-Length: 0,0"):                      EqualLengths,
		head("GET /a|b\"{}\xc3%?%zz HTTP/1.1", "Host: a"):                    LooseTarget,
		get("Transfer-Encoding: chunked", "Content-Length: 9") + "0\r\n\r\n": BothFramings,
		chunked("0; a\"=\\\r\n\r\n"):                                         LooseExtension,
		head("GET http://u:p@b/ HTTP/1.1", "Host: a"):                        DroppedUserInfo,
		head("GET http://b/ HTTP/1.1", "Host: a/b"):                          IgnoredHost,
		chunked("1 \t\r\na\r\n0 \r\n\r\n"):                                   PaddedSize,
		head("GET /a#b?c#d HTTP/1.1", "Host: a"):                             Hash,
		head("POST / HTTP/1.0", "Connection: keep-alive", "Content-Length: 1", "Transfer-Encoding: x") + "a": OldCoding,
		chunked("0\r\nA: b\r\n c\r\n\r\n"): ObsFold,
	} {
		m, n, err := Reader{Allowed: 1<<len(easeNames) - 1}.Request([]byte(raw))
		if err != nil || m.Eased != want || n != len(raw) {
			t.Errorf("%q: %v, %+v; want %v", raw, err, m, want)
		}
		if _, _, err := (Reader{Allowed: (1<<len(easeNames) - 1) &^ want}).Request([]byte(raw)); err == nil {
			t.Errorf("%q is read without %v", raw, want)
		}
	}
	folded, _, _ := Reader{Allowed: ObsFold}.Request([]byte(get("A: b", " c", "\t d ")))
	if v := folded.Fields.Values("a"); len(v) != 1 || v[0] != "b c d" {
		t.Errorf("folded: %q", v)
	}
}

// Nothing behind the last request of a connection is one, and neither is what does not end.
func TestPipelines(t *testing.T) {
	for raw, want := range map[string]struct {
		requests int
		rest     string
	}{
		get() + get("Content-Length: 1") + "x" + chunked("1\r\na\r\n0\r\n\r\n") + get(): {4, ""},
		get() + get("Connection: close") + get():                                        {2, get()},
		get() + head("GET / HTTP/1.0") + get():                                          {2, get()},
		get("Content-Length: 1", "Transfer-Encoding: chunked") + "0\r\n\r\n" + get():    {1, get()},
		head("GET * HTTP/1.1", "Host: a/b", "Content-Length: 1") + "x" + get():          {2, ""},
		get() + "G(T / HTTP/1.1\r\nHost: a\r\n\r\n" + get():                             {1, "G(T / HTTP/1.1\r\nHost: a\r\n\r\n" + get()},
		get() + "GET": {1, "GET"},
	} {
		list, rest, err := Reader{Allowed: BothFramings, Delimit: true}.Requests([]byte(raw))
		if len(list) != want.requests || string(rest) != want.rest {
			t.Errorf("%q: %d requests, rest %q, %v; want %d, %q", raw, len(list), rest, err, want.requests, want.rest)
		}
	}
}
