package strict

import (
	"errors"
	"testing"
)

// answer makes an answer out of a status line, field lines, and a body.
func answer(status, body string, fields ...string) string {
	return head(append([]string{status}, fields...)...) + body
}

func TestAnswers(t *testing.T) {
	get, headOf, old, connect := Asked{"GET", 1}, Asked{"HEAD", 1}, Asked{"GET", 0}, Asked{"CONNECT", 1}
	for _, tc := range []struct {
		raw          string
		to           Asked
		status, body string
		rule         Rule // that is violated
		rest         string
	}{
		{answer("HTTP/1.1 200 OK", "abc", "Content-Length: 2"), get, "200", "ab", "", "c"},
		{answer("HTTP/1.1 200 ", "abc", "Content-Length: 2"), headOf, "200", "", "", "abc"},
		{answer("HTTP/1.1 200 OK", "1\r\na\r\n0\r\n\r\nb", "Transfer-Encoding: chunked"), get, "200", "a", "", "b"},
		{answer("HTTP/1.1 200 OK", "until the end"), get, "200", "until the end", "", ""},
		{answer("HTTP/1.1 204 No Content", "x"), get, "204", "", "", "x"},
		{answer("HTTP/1.1 304 Not Modified", "x", "Content-Length: 9"), get, "304", "", "", "x"},
		{answer("HTTP/1.1 103 Early Hints", "x", "Link: </a>"), get, "103", "", "", "x"},
		{answer("HTTP/1.1 101 Switching Protocols", "x", "Upgrade: a"), get, "101", "", "", "x"},
		{answer("HTTP/1.1 200 OK", "tunnel"), connect, "200", "", "", "tunnel"},
		{answer("HTTP/1.1 405 No", "ab", "Content-Length: 1"), connect, "405", "a", "", "b"},

		{answer("HTTP/1.1 200", ""), get, "", "", StatusLine, ""},
		{answer("HTTP/1.1 20 OK", ""), get, "", "", StatusLine, ""},
		{answer("HTTP/1.1 2OO OK", ""), get, "", "", StatusLine, ""},
		{answer("HTTP/1.1 200 O\x00K", ""), get, "", "", StatusLine, ""},
		{answer("HTTP/1.1 099 OK", ""), get, "", "", StatusCode, ""},
		{answer("HTTP/1.1 600 OK", ""), get, "", "", StatusCode, ""},
		{answer("HTTP/2.0 200 OK", ""), get, "", "", Major, ""},
		{answer("ICY 200 OK", ""), get, "", "", Version, ""},
		{answer("HTTP/1.1 200 OK", "a", "Content-Length: 1", "Content-Length: 1"), get, "", "", OneLength, ""},
		{answer("HTTP/1.1 200 OK", "0\r\n\r\n", "Content-Length: 1", "Transfer-Encoding: chunked"), get, "", "", TwoFramings, ""},
		{answer("HTTP/1.1 200 OK", "", "Content-Length : 0"), get, "", "", NameSpace, ""},
		{answer("HTTP/1.1 200 OK", "", "A: b", " x"), get, "", "", Fold, ""},
		{answer("HTTP/1.1 204 No Content", "", "Content-Length: 0"), get, "", "", NoLength, ""},
		{answer("HTTP/1.1 103 x", "", "Content-Length: 0"), get, "", "", NoLength, ""},
		{answer("HTTP/1.1 204 No Content", "", "Transfer-Encoding: chunked"), get, "", "", NoCoding, ""},
		{answer("HTTP/1.1 200 OK", "0\r\n\r\n", "Transfer-Encoding: chunked"), old, "", "", NoCoding, ""},
		{answer("HTTP/1.1 103 x", ""), old, "", "", InterimToOld, ""},
	} {
		a, n, err := Reader{}.Answer([]byte(tc.raw), tc.to)
		var f *Fault
		switch {
		case tc.rule != "":
			if !errors.As(err, &f) || f.Rule != tc.rule {
				t.Errorf("%q: %v, %v; want a violation of %q", tc.raw, a, err, tc.rule)
			}
			if _, _, err := (Reader{off: tc.rule}).Answer([]byte(tc.raw), tc.to); tc.rule != StatusLine && err != nil {
				t.Errorf("%q is refused without %q, too: %v", tc.raw, tc.rule, err)
			}
		case err != nil || a.Status != atoi(tc.status) || string(a.Body) != tc.body || tc.raw[n:] != tc.rest:
			t.Errorf("%q: %+v, rest %q, %v", tc.raw, a, tc.raw[n:], err)
		}
	}
}

func atoi(s string) int { return int(s[0]-'0')*100 + int(s[1]-'0')*10 + int(s[2]-'0') }

// A connection has one answer to each request, interim ones besides, and nothing behind the last.
func TestAnswerSequences(t *testing.T) {
	one, bare := answer("HTTP/1.1 200 OK", "a", "Content-Length: 1"), answer("HTTP/1.1 103 x", "")
	closing := answer("HTTP/1.1 200 OK", "a", "Content-Length: 1", "Connection: close")
	for raw, want := range map[string]struct {
		answers int
		rule    Rule
	}{
		one + one:               {2, ""},
		bare + bare + one + one: {4, ""},
		one + one + one:         {2, Unasked},
		one + one + "\r\n":      {2, Unasked},
		closing + one:           {1, AfterLast},
		one + "\r\n" + one:      {1, StatusLine},
	} {
		list, _, err := Reader{}.Answers([]byte(raw), []Asked{{"GET", 1}, {"GET", 1}})
		var f *Fault
		if len(list) != want.answers || (want.rule == "") != (err == nil) || err != nil && (!errors.As(err, &f) || f.Rule != want.rule) {
			t.Errorf("%q: %d answers, %v; want %d, %q", raw, len(list), err, want.answers, want.rule)
		}
	}
}
