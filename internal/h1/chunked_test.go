package h1

import (
	"net/http"
	"strings"
	"testing"
)

const chunkedHead = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"

func chunkedCase(name, chunks, body string) answerCase {
	return answerCase{name: name, answer: chunkedHead + chunks, status: 200, body: body, keeps: true}
}

func brokenChunks(name, chunks string) answerCase {
	return answerCase{name: name, answer: chunkedHead + chunks, err: "not valid"}
}

func TestChunks(t *testing.T) {
	long := strings.Repeat("x", 100_000)
	runAnswers(t, []answerCase{
		chunkedCase("none", "0\r\n\r\n", ""),
		chunkedCase("several", "1\r\na\r\n2\r\nbc\r\n0\r\n\r\n", "abc"),
		chunkedCase("hexadecimal", "A\r\n0123456789\r\nb\r\n0123456789a\r\n0\r\n\r\n", "01234567890123456789a"),
		chunkedCase("leading zeros", "0002\r\nok\r\n000\r\n\r\n", "ok"),
		chunkedCase("large", "186a0\r\n"+long+"\r\n0\r\n\r\n", long),
		chunkedCase("many", strings.Repeat("1\r\nx\r\n", 20_000)+"0\r\n\r\n", long[:20_000]),
		chunkedCase("white space behind the size", "2 \t\r\nok\r\n0 \r\n\r\n", "ok"),
		chunkedCase("extensions", "2;a=b;c=\"d e\"\r\nok\r\n0;x\r\n\r\n", "ok"),
		chunkedCase("white space before an extension", "2 ;a\r\nok\r\n0\r\n\r\n", "ok"),
		chunkedCase("extensions up to their bound", "2;"+strings.Repeat("x", 4000)+"\r\nok\r\n0\r\n\r\n", "ok"),
		brokenChunks("extension too long", "2;"+strings.Repeat("x", 5000)+"\r\nok\r\n0\r\n\r\n"),
		brokenChunks("more extensions than content", strings.Repeat("1;"+strings.Repeat("x", 400)+"\r\nx\r\n", 100)+"0\r\n\r\n"),
		brokenChunks("zeros instead of extensions", strings.Repeat(strings.Repeat("0", 400)+"1\r\nx\r\n", 100)+"0\r\n\r\n"),
		brokenChunks("control character in an extension", "2;a\x00\r\nok\r\n0\r\n\r\n"),
		brokenChunks("bare CR in an extension", "2;a\rb\r\nok\r\n0\r\n\r\n"),
		brokenChunks("bare LF behind the size", "2\nok\r\n0\r\n\r\n"),
		brokenChunks("bare LF behind the content", "2\r\nok\n0\r\n\r\n"),
		brokenChunks("bare LF behind the last size", "2\r\nok\r\n0\n\r\n"),
		brokenChunks("bare LF at the end", "2\r\nok\r\n0\r\n\n"),
		brokenChunks("no CR LF behind the content", "2\r\nok0\r\n\r\n"),
		brokenChunks("content longer than its size", "2\r\nokay\r\n0\r\n\r\n"),
		brokenChunks("CR and something else", "2\r\nok\rx0\r\n\r\n"),
		brokenChunks("no size", "\r\nok\r\n0\r\n\r\n"),
		brokenChunks("no size but extension", ";a\r\nok\r\n0\r\n\r\n"),
		brokenChunks("sign", "+2\r\nok\r\n0\r\n\r\n"),
		brokenChunks("minus", "-2\r\nok\r\n0\r\n\r\n"),
		brokenChunks("0x", "0x2\r\nok\r\n0\r\n\r\n"),
		brokenChunks("space before", " 2\r\nok\r\n0\r\n\r\n"),
		brokenChunks("two sizes", "2 2\r\nok\r\n0\r\n\r\n"),
		brokenChunks("letters", "zz\r\nok\r\n0\r\n\r\n"),
		brokenChunks("more than 2^63 bytes", "8000000000000000\r\nok\r\n0\r\n\r\n"),
		brokenChunks("more than 2^64 bytes", "10000000000000002\r\nok\r\n0\r\n\r\n"),
		brokenChunks("a line without end", strings.Repeat("0", 20_000)),
	})
}

func TestChunksCutShort(t *testing.T) {
	const whole = "3;x=y\r\nabc\r\n02\r\nde\r\n0\r\nA: 1\r\n\r\n"
	var cases []answerCase
	for n := range len(whole) {
		cases = append(cases, answerCase{
			name: whole[:n], hangup: true, answer: chunkedHead + whole[:n], err: "unexpected EOF",
		})
	}
	runAnswers(t, append(cases, answerCase{
		name: "whole", hangup: true, answer: chunkedHead + whole, status: 200, body: "abcde",
		trailer: http.Header{"A": {"1"}}, keeps: true,
	}))
}

func TestTrailers(t *testing.T) {
	with := func(name, announced, trailers string, want http.Header) answerCase {
		return answerCase{
			name: name, answer: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n" + announced + "\r\n2\r\nok\r\n0\r\n" + trailers + "\r\n",
			header: http.Header{}, trailer: want, status: 200, body: "ok", keeps: true,
		}
	}
	runAnswers(t, []answerCase{
		with("announced", "Trailer: A\r\n", "A: 1\r\n", http.Header{"A": {"1"}}),
		with("not announced", "", "a: 1\r\nB: 2\r\na: 3\r\n", http.Header{"A": {"1", "3"}, "B": {"2"}}),
		with("announced in vain", "Trailer: A, b\r\nTrailer: C\r\n", "", http.Header{"A": nil, "B": nil, "C": nil}),
		with("announcement of what cannot be one", "Trailer: Content-Length, x y, Host\r\n", "", nil),
		with("those of framing are dropped", "", "Content-Length: 5\r\ntransfer-encoding: gzip\r\nTrailer: x\r\nA: 1\r\n", http.Header{"A": {"1"}}),
		with("folded", "", "A: 1\r\n 2\r\n", http.Header{"A": {"1 2"}}),
		brokenChunks("no colon", "0\r\nA\r\n\r\n"),
		brokenChunks("control character", "0\r\nA: \x00\r\n\r\n"),
		brokenChunks("empty name", "0\r\n: 1\r\n\r\n"),
		brokenChunks("begin with LF", "0\r\n\nA: 1\r\n\r\n"),
	})
}

func TestChunksComeWhenTheyAreThere(t *testing.T) {
	next := make(chan string)
	address := serve(t, func(p *peer) {
		p.head()
		for s := range next {
			p.write(s)
		}
		p.ended()
	})
	h := testClient(t, address, Options{})
	x := &Exchange{Request: get(http.MethodGet)}
	defer x.End()
	go func() { next <- chunkedHead + "3\r\nabc\r\n" }()
	if err := h.RoundTrip(x); err != nil {
		t.Fatal(err)
	}
	defer close(next)
	buf := make([]byte, 100)
	for _, step := range []struct{ send, want string }{
		{"", "abc"},
		{"4\r\ndefg", "defg"},
		{"\r\n2\r", ""},
		{"\nhi\r\n0\r\nTrailer-A", "hi"},
	} {
		if step.send != "" {
			next <- step.send
		}
		if step.want == "" {
			continue
		}
		within(t, func() {
			n, err := x.Response.Body.Read(buf)
			if got := string(buf[:n]); got != step.want || err != nil {
				t.Errorf("read %q, %v, want %q", got, err, step.want)
			}
		})
	}
}
