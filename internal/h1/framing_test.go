package h1

import (
	"net/http"
	"strings"
	"testing"
)

func TestContentLength(t *testing.T) {
	valid := func(name, fields string, keeps bool) answerCase {
		return answerCase{name: name, answer: "HTTP/1.1 200 OK\r\n" + fields + "\r\nok", status: 200, body: "ok", keeps: keeps}
	}
	invalid := func(name, fields string) answerCase {
		return answerCase{name: name, answer: "HTTP/1.1 200 OK\r\n" + fields + "\r\nok", err: "not valid"}
	}
	runAnswers(t, []answerCase{
		valid("plain", "Content-Length: 2\r\n", true),
		valid("leading zeros", "Content-Length: 0002\r\n", true),
		valid("repeated, equal", "Content-Length: 2\r\nContent-Length: 2\r\n", true),
		valid("close", "Content-Length: 2\r\nConnection: close\r\n", false),
		valid("close among others", "Content-Length: 2\r\nConnection: x, Close\r\n", false),
		valid("close in a second field", "Content-Length: 2\r\nConnection: x\r\nConnection: close\r\n", false),
		valid("keep-alive", "Content-Length: 2\r\nConnection: keep-alive\r\n", true),
		invalid("repeated, unequal", "Content-Length: 2\r\nContent-Length: 3\r\n"),
		invalid("list", "Content-Length: 2, 2\r\n"),
		invalid("plus", "Content-Length: +2\r\n"),
		invalid("minus", "Content-Length: -2\r\n"),
		invalid("empty", "Content-Length:\r\n"),
		invalid("hexadecimal", "Content-Length: 0x2\r\n"),
		invalid("underscore", "Content-Length: 0_2\r\n"),
		invalid("space within", "Content-Length: 2 2\r\n"),
		invalid("beyond 2^63", "Content-Length: 9223372036854775808\r\n"),
		invalid("far beyond", "Content-Length: "+strings.Repeat("9", 100)+"\r\n"),
		{name: "2^63-1", hangup: true, answer: "HTTP/1.1 200 OK\r\nContent-Length: 9223372036854775807\r\n\r\nok", err: "unexpected EOF"},
		{name: "cut short", hangup: true, answer: "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok", err: "unexpected EOF"},
		{name: "cut before its body", hangup: true, answer: "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", err: "unexpected EOF"},
		{name: "cut in its header", hangup: true, answer: "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n", err: "unexpected EOF"},
		{name: "cut in its first line", hangup: true, answer: "HTTP/1.1 2", err: "unexpected EOF"},
		{name: "zero", answer: "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", status: 200, keeps: true},
		{
			name: "larger than any buffer", answer: "HTTP/1.1 200 OK\r\nContent-Length: 300000\r\n\r\n" + strings.Repeat("x", 300_000),
			status: 200, body: strings.Repeat("x", 300_000), keeps: true,
		},
		{
			name: "repeated, equal, is one", answer: "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok",
			header: http.Header{"Content-Length": {"2"}}, status: 200, body: "ok", keeps: true,
		},
	})
}

func TestTransferEncoding(t *testing.T) {
	const chunks = "2\r\nok\r\n0\r\n\r\n"
	valid := func(name, fields string, want http.Header, keeps bool) answerCase {
		return answerCase{
			name: name, answer: "HTTP/1.1 200 OK\r\n" + fields + "\r\n" + chunks,
			header: want, status: 200, body: "ok", keeps: keeps,
		}
	}
	invalid := func(name, fields string) answerCase {
		return answerCase{name: name, answer: "HTTP/1.1 200 OK\r\n" + fields + "\r\n" + chunks, err: "transfer coding"}
	}
	runAnswers(t, []answerCase{
		valid("chunked", "Transfer-Encoding: chunked\r\n", http.Header{}, true),
		valid("case", "transfer-encoding: Chunked\r\n", http.Header{}, true),
		valid("with a length", "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", http.Header{}, false),
		valid("close", "Transfer-Encoding: chunked\r\nConnection: close\r\n", http.Header{"Connection": {"close"}}, false),
		invalid("twice", "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"),
		invalid("twice in one", "Transfer-Encoding: chunked, chunked\r\n"),
		invalid("gzip", "Transfer-Encoding: gzip\r\n"),
		invalid("gzip and chunked", "Transfer-Encoding: gzip, chunked\r\n"),
		invalid("identity", "Transfer-Encoding: identity\r\n"),
		invalid("empty", "Transfer-Encoding:\r\n"),
		invalid("vertical tab", "Transfer-Encoding: chunked;\r\n"),
		{
			name: "in HTTP/1.0", answer: "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks,
			err: "a transfer coding in HTTP/1.0",
		},
		{
			name: "with an invalid length", answer: "HTTP/1.1 200 OK\r\nContent-Length: x\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks,
			err: "Content-Length",
		},
	})
}

func TestAnswersWithoutBody(t *testing.T) {
	none := func(name, method, answer string, keeps bool) answerCase {
		return answerCase{name: name, method: method, answer: answer, status: 200, keeps: keeps}
	}
	cases := []answerCase{
		none("HEAD with a length", "HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", true),
		none("HEAD without", "HEAD", "HTTP/1.1 200 OK\r\n\r\n", true),
		{
			name: "HEAD, chunked", method: "HEAD", answer: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
			header: http.Header{}, status: 200, keeps: true,
		},
		none("HEAD, close", "HEAD", "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n", false),
		none("HEAD with a body nevertheless", "HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", false),
		{name: "204", answer: "HTTP/1.1 204 No Content\r\n\r\n", status: 204, keeps: true},
		{name: "204 with a length", answer: "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n", status: 204, keeps: true},
		{name: "204 with a body", answer: "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nhello", status: 204},
		{name: "304", answer: "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", status: 304, keeps: true},
		{name: "304, chunked", answer: "HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n", status: 304, keeps: true},
	}
	runAnswers(t, cases)
}

func TestBodyUntilClose(t *testing.T) {
	runAnswers(t, []answerCase{
		{name: "HTTP/1.1", hangup: true, answer: "HTTP/1.1 200 OK\r\n\r\nhello", status: 200, body: "hello"},
		{name: "HTTP/1.0", hangup: true, answer: "HTTP/1.0 200 OK\r\n\r\nhello", status: 200, body: "hello"},
		{name: "empty", hangup: true, answer: "HTTP/1.0 200 OK\r\n\r\n", status: 200},
		{name: "keep-alive changes nothing", hangup: true, answer: "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n\r\nhello", status: 200, body: "hello"},
	})
}

func TestHTTP10KeepAlive(t *testing.T) {
	with := func(name, version, connection string, keeps bool) answerCase {
		return answerCase{
			name: name, answer: version + " 200 OK\r\nContent-Length: 2\r\n" + connection + "\r\nok",
			status: 200, body: "ok", keeps: keeps,
		}
	}
	runAnswers(t, []answerCase{
		with("not asked for", "HTTP/1.0", "", false),
		with("asked for", "HTTP/1.0", "Connection: Keep-Alive\r\n", true),
		with("both", "HTTP/1.0", "Connection: keep-alive, close\r\n", false),
		with("something else", "HTTP/1.0", "Connection: x\r\n", false),
	})
}

func TestInterimAnswers(t *testing.T) {
	const final = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
	runAnswers(t, []answerCase{
		{name: "100 not asked for", answer: "HTTP/1.1 100 Continue\r\n\r\n" + final, status: 200, body: "ok", keeps: true},
		{name: "several", answer: "HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: <a>\r\n\r\n" + final, status: 200, body: "ok", keeps: true},
		{
			name: "with a length, which means nothing", answer: "HTTP/1.1 103 Early Hints\r\nContent-Length: 3\r\n\r\n" + final,
			status: 200, body: "ok", keeps: true,
		},
		{name: "none after it", hangup: true, answer: "HTTP/1.1 103 Early Hints\r\n\r\n", err: "closed the connection"},
		{name: "half of one after it", hangup: true, answer: "HTTP/1.1 103 Early Hints\r\n\r\nHTTP", err: "unexpected EOF"},
	})
}
