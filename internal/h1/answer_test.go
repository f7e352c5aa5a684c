package h1

import (
	"errors"
	"net/http"
	"reflect"
	"strings"
	"testing"
)

// answerCase is an answer to a request, and what is to come of it.
type answerCase struct {
	name   string
	method string // GET without
	answer string
	hangup bool // the server ends the connection behind it

	status   int
	body     string
	header   http.Header // nil: not looked at
	trailer  http.Header
	err      string // part of the error's text; "" for none
	keeps    bool   // the connection can serve another request
	maxBytes int    // of a header
}

// run sends the request over a real connection, and another one after it.
func (c answerCase) run(t *testing.T) {
	const second = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nsecond"
	address := serve(t, func(p *peer) {
		if p.n > 0 {
			for p.head() != "" {
				p.write(second)
			}
			return
		}
		p.head()
		p.write(c.answer)
		if c.hangup {
			_ = p.CloseWrite()
		}
		for p.head() != "" {
			p.write(second)
		}
	})
	h := testClient(t, address, Options{MaxHeaderBytes: c.maxBytes})
	method := c.method
	if method == "" {
		method = http.MethodGet
	}
	got := do(h, get(method))
	c.check(t, got)
	if idle := h.idleCount(); idle == 1 != c.keeps {
		t.Errorf("the connection is kept: %v, want %v", idle == 1, c.keeps)
	}
	if next := do(h, get(http.MethodGet)); next.body != "second" {
		t.Errorf("the next answer: %+v", next)
	}
}

func (c answerCase) check(t *testing.T, got result) {
	t.Helper()
	if c.err != "" {
		if got.err == nil || !strings.Contains(got.err.Error(), c.err) {
			t.Errorf("error %v, want one with %q", got.err, c.err)
		}
		var e *Error
		if !errors.As(got.err, &e) || e.Phase != Receiving || e.Unseen {
			t.Errorf("error %#v, want an Error of Receiving", got.err)
		}
		return
	}
	r := &got.x.Response
	if got.err != nil || got.status != c.status || got.body != c.body {
		t.Errorf("got %d %.100q, %v; want %d %.100q", got.status, got.body, got.err, c.status, c.body)
	}
	if c.header != nil && !reflect.DeepEqual(r.Header, c.header) {
		t.Errorf("header %q, want %q", r.Header, c.header)
	}
	if len(r.Trailer) != len(c.trailer) || len(c.trailer) > 0 && !reflect.DeepEqual(r.Trailer, c.trailer) {
		t.Errorf("trailers %q, want %q", r.Trailer, c.trailer)
	}
}

func runAnswers(t *testing.T, cases []answerCase) {
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.run(t)
		})
	}
}

func TestStatusLines(t *testing.T) {
	const fields = "\r\nContent-Length: 2\r\n\r\nok"
	valid := func(name, line string, status int) answerCase {
		return answerCase{name: name, answer: line + fields, status: status, body: "ok", keeps: true}
	}
	invalid := func(name, line string) answerCase {
		return answerCase{name: name, answer: line + fields, err: "not valid"}
	}
	runAnswers(t, []answerCase{
		valid("plain", "HTTP/1.1 200 OK", 200),
		valid("empty reason", "HTTP/1.1 200 ", 200),
		valid("no reason", "HTTP/1.1 200", 200),
		valid("long reason", "HTTP/1.1 200 "+strings.Repeat("x", 10_000), 200),
		valid("reason beyond ASCII", "HTTP/1.1 200 \xc3\xa9", 200),
		valid("unknown code", "HTTP/1.1 799 Odd", 799),
		valid("later minor version", "HTTP/1.2 200 OK", 200),
		invalid("first line empty", "\r\nHTTP/1.1 200 OK"),
		invalid("code of two digits", "HTTP/1.1 20"),
		invalid("code of four digits", "HTTP/1.1 2000 OK"),
		invalid("code below 100", "HTTP/1.1 099 OK"),
		invalid("code with sign", "HTTP/1.1 +20 OK"),
		invalid("code with letters", "HTTP/1.1 2x0 OK"),
		invalid("no code", "HTTP/1.1"),
		invalid("no code but space", "HTTP/1.1 "),
		invalid("two spaces", "HTTP/1.1  200 OK"),
		invalid("tab", "HTTP/1.1\t200 OK"),
		invalid("HTTP/2", "HTTP/2.0 200 OK"),
		invalid("HTTP/0.9", "HTTP/0.9 200 OK"),
		invalid("version without minor", "HTTP/1 200 OK"),
		invalid("version with long minor", "HTTP/1.10 200 OK"),
		invalid("lower case", "http/1.1 200 OK"),
		invalid("another protocol", "SSH-2.0-OpenSSH_9.6"),
		invalid("space before", " HTTP/1.1 200 OK"),
		invalid("bare CR", "HTTP/1.1 200 O\rK"),
		invalid("NUL", "HTTP/1.1 200 O\x00K"),
	})
}

func TestFieldLines(t *testing.T) {
	valid := func(name, lines string, want http.Header) answerCase {
		if want != nil {
			want.Set("Content-Length", "2")
		}
		return answerCase{
			name: name, answer: "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n" + lines + "\r\nok",
			status: 200, body: "ok", header: want, keeps: true,
		}
	}
	invalid := func(name, lines string) answerCase {
		return answerCase{name: name, answer: "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n" + lines + "\r\nok", err: "not valid"}
	}
	runAnswers(t, []answerCase{
		valid("none", "", http.Header{}),
		valid("case", "x-a: 1\r\nETAG: 2\r\nwww-authenticate: 3\r\n", http.Header{"X-A": {"1"}, "Etag": {"2"}, "Www-Authenticate": {"3"}}),
		valid("repeated", "A: 1\r\nB: x\r\na: 2\r\nA: 3\r\n", http.Header{"A": {"1", "2", "3"}, "B": {"x"}}),
		valid("empty value", "A:\r\nB: \t \r\n", http.Header{"A": {""}, "B": {""}}),
		valid("white space around", "A: \t x y \t\r\n", http.Header{"A": {"x y"}}),
		valid("colon in value", "A: b:c\r\n", http.Header{"A": {"b:c"}}),
		valid("bare LF", "A: 1\nB: 2\n", http.Header{"A": {"1"}, "B": {"2"}}),
		valid("fold", "A: 1 \r\n  2\t\r\n\t3\r\nB: x\r\n", http.Header{"A": {"1 2 3"}, "B": {"x"}}),
		valid("fold of an empty value", "A:\r\n b\r\n", http.Header{"A": {"b"}}),
		valid("space before colon", "A : 1\r\nB\t: 2\r\n", http.Header{"A": {"1"}, "B": {"2"}}),
		valid("obs-text", "A: \xe9\xff\r\n", http.Header{"A": {"\xe9\xff"}}),
		valid("long", "A: "+strings.Repeat("v", 100_000)+"\r\n", http.Header{"A": {strings.Repeat("v", 100_000)}}),
		valid("many", strings.Repeat("A: x\r\n", 5000), nil),
		invalid("bare CR in value", "A: 1\r2\r\n"),
		invalid("bare CR before CR LF", "A: 1\r\r\n"),
		invalid("bare CR in name", "A\rB: 1\r\n"),
		invalid("NUL in value", "A: \x00\r\n"),
		invalid("NUL in name", "A\x00: 1\r\n"),
		invalid("DEL in value", "A: \x7f\r\n"),
		invalid("NUL in a fold", "A: 1\r\n \x00\r\n"),
		invalid("empty name", ": 1\r\n"),
		invalid("no colon", "A\r\n"),
		invalid("no colon before a fold", "A\r\n : 1\r\n"),
		invalid("space in name", "A B: 1\r\n"),
		invalid("name beyond ASCII", "\xc3\xa9: 1\r\n"),
		invalid("brackets in name", "A[]: 1\r\n"),
	})
}

func TestFirstFieldLineIsNoFold(t *testing.T) {
	answerCase{answer: "HTTP/1.1 200 OK\r\n A: 1\r\nContent-Length: 2\r\n\r\nok", err: "not valid"}.run(t)
}

func TestHeaderIsBounded(t *testing.T) {
	big := "A: " + strings.Repeat("v", 2000) + "\r\n"
	runAnswers(t, []answerCase{
		{name: "within", maxBytes: 2500, answer: "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n" + big + "\r\n", status: 200, keeps: true},
		{name: "one line", maxBytes: 1500, answer: "HTTP/1.1 200 OK\r\n" + strings.Repeat(big, 4), err: "exceeds 1500 bytes"},
		{name: "no line at all", maxBytes: 1500, answer: strings.Repeat("x", 20_000), err: "exceeds 1500 bytes"},
		{
			name: "interim answers", maxBytes: 5000,
			answer: strings.Repeat("HTTP/1.1 103 Early Hints\r\n"+big+"\r\n", 20) + "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
			err:    "exceeds 5000 bytes",
		},
		{
			name: "trailers", maxBytes: 1500,
			answer: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n" + strings.Repeat(big, 10) + "\r\n",
			err:    "trailers exceed",
		},
	})
}
