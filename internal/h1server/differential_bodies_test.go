package h1server

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
)

const chunkedHead = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"

func TestContentLengths(t *testing.T) {
	var scripts []script
	for name, fields := range map[string]string{
		"none": "A: b", "right": "Content-Length: 4", "zero": "Content-Length: 0", "padded": "Content-Length: \t4 ", "leading zeros": "Content-Length: 0004",
		"twice": "Content-Length: 4\r\nContent-Length: 4", "twice, zero": "Content-Length: 0\r\nContent-Length: 0", "differing": "Content-Length: 4\r\nContent-Length: 3", "list": "Content-Length: 4, 4",
		"plus": "Content-Length: +4", "negative": "Content-Length: -4", "overflow": "Content-Length: 18446744073709551620", "overflow of int64": "Content-Length: 9223372036854775808",
		"largest": "Content-Length: 9223372036854775807\r\nConnection: close", "hexadecimal": "Content-Length: 0x4", "underscore": "Content-Length: 0_4", "empty": "Content-Length:", "words": "Content-Length: four", "fraction": "Content-Length: 4.0",
		"not ASCII": "Content-Length: \xd9\xa4", "folded": "Content-Length:\r\n 4", "gzip": "Transfer-Encoding: gzip", "gzip, chunked": "Transfer-Encoding: gzip, chunked", "chunked twice": "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
		"chunked, chunked": "Transfer-Encoding: chunked, chunked", "chunked, gzip": "Transfer-Encoding: chunked, gzip", "empty coding": "Transfer-Encoding:", "identity": "Transfer-Encoding: identity", "vertical tab": "Transfer-Encoding: \vchunked",
		"quoted": "Transfer-Encoding: \"chunked\"", "coding with parameter": "Transfer-Encoding: chunked;a=b",
	} {
		s := script{name: name, steps: []string{"POST / HTTP/1.1\r\nHost: a\r\n" + fields + "\r\n\r\n"}}
		if slices.Contains([]string{"right", "padded", "leading zeros", "twice", "folded", "largest"}, name) {
			s.steps[0] += "body"
		}
		s.half = name == "largest"
		scripts = append(scripts, s)
	}
	const why = "the length is given in two ways, and the connection must end (RFC 9112, section 6.1)"
	scripts = append(scripts,
		script{name: "both", steps: []string{"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n"}, mend: closed, why: why},
		script{name: "both, chunked first", steps: []string{"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\ncontent-length: 3\r\n\r\n4\r\nbody\r\n0\r\n\r\n"}, mend: closed, why: why},
		script{name: "both, bad length", steps: []string{"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: x\r\n\r\n4\r\nbody\r\n0\r\n\r\n"}},
		script{name: "chunked in HTTP/1.0", steps: []string{"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n"}},
		script{
			name: "chunked in HTTP/1.0 with keep-alive", steps: []string{"POST / HTTP/1.0\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n"},
			mend: func(theirs string) string {
				first, _, _ := strings.Cut(theirs, "HTTP/1.1 400")
				return strings.Replace(first, "Connection: keep-alive\n", "", 1)
			}, why: why,
		},
	)
	compare(t, scripts)
}

func TestChunks(t *testing.T) {
	var scripts []script
	for name, chunks := range map[string]string{
		"none": "0\r\n\r\n", "one": "4\r\nbody\r\n0\r\n\r\n", "several": "1\r\nb\r\n2\r\nod\r\n1\r\ny\r\n0\r\n\r\n", "hexadecimal": "A\r\n0123456789\r\na\r\n0123456789\r\n0\r\n\r\n",
		"leading zeros": "0004\r\nbody\r\n000\r\n\r\n", "many zeros": "0000000000000000000004\r\nbody\r\n0\r\n\r\n", "extensions": "4;a=b;c=\"d\"\r\nbody\r\n0;e\r\n\r\n", "space": "4 \r\nbody\r\n0\r\n\r\n", "long extension": "4;" + strings.Repeat("a", 5000) + "\r\nbody\r\n0\r\n\r\n",
		"trailer": "4\r\nbody\r\n0\r\nA: b\r\nC: d\r\n\r\n", "bad trailer": "0\r\nA b\r\n\r\n", "length in trailer": "0\r\nContent-Length: 5\r\nHost: b\r\n\r\n", "control in trailer": "0\r\nA: b\x01\r\n\r\n",
		"long trailer": "0\r\nA: " + strings.Repeat("b", 3000) + "\r\n\r\n", "LF alone": "4\nbody\n0\n\r\n", "no size": "\r\nbody\r\n0\r\n\r\n", "bad size": "g\r\nbody\r\n0\r\n\r\n", "negative": "-4\r\nbody\r\n0\r\n\r\n", "plus": "+4\r\nbody\r\n0\r\n\r\n", "prefix": "0x4\r\nbody\r\n0\r\n\r\n",
		"overflow": "10000000000000004\r\nbody\r\n0\r\n\r\n", "no CRLF behind": "4\r\nbodyxx0\r\n\r\n", "too short": "5\r\nbody\r\n0\r\n\r\n", "too long": "3\r\nbody\r\n0\r\n\r\n", "CR in size": "4\r\r\nbody\r\n0\r\n\r\n",
	} {
		scripts = append(scripts, script{name: name, steps: []string{chunkedHead + chunks}}, script{name: name + ", not read", handler: text, steps: []string{chunkedHead + chunks}})
	}
	declared := "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTrailer: A, c\r\nTrailer: D\r\n\r\n4\r\nbody\r\n0\r\nA: b\r\nE: f\r\n\r\n"
	scripts = append(scripts,
		script{name: "declared trailers", answers: 2, steps: []string{declared + declared}},
		script{name: "forbidden trailer", steps: []string{head("POST / HTTP/1.1", "Host: a", "Transfer-Encoding: chunked", "Trailer: Content-Length")}},
		script{name: "endless trailer", steps: []string{chunkedHead + "0\r\nA: " + strings.Repeat("b", 8000) + "\r\n\r\n"}},
	)
	compare(t, scripts)
}

func TestUnreadBodies(t *testing.T) {
	post := func(n int, fields string) string {
		return head("POST / HTTP/1.1", "Host: a", fields, "Content-Length: "+itoa(n)) + strings.Repeat("b", n)
	}
	some := func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.ReadFull(r.Body, make([]byte, 10))
		text(w, r)
	}
	shut := func(w http.ResponseWriter, r *http.Request) {
		r.Body.Close()
		n, err := r.Body.Read(make([]byte, 1))
		_, _ = io.WriteString(w, itoa(n)+err.Error())
	}
	compare(t, []script{
		{name: "small", handler: text, steps: []string{post(100, "A: b")}},
		{name: "small, in pieces", handler: text, steps: []string{post(100, "A: b")}, octets: true},
		{name: "largest that is taken in", handler: text, steps: []string{post(maxDrain-1, "A: b")}},
		{name: "smallest that is not", handler: text, steps: []string{post(maxDrain, "A: b")}},
		{name: "large", handler: text, steps: []string{post(1<<20, "A: b")}},
		{name: "large, in part", handler: some, steps: []string{post(1<<20, "A: b")}},
		{name: "small, in part", handler: some, steps: []string{post(100, "A: b")}},
		{name: "small and closed", handler: shut, steps: []string{post(100, "A: b")}},
		{name: "large and closed", handler: shut, steps: []string{post(1<<20, "A: b")}},
		{name: "small at the end", handler: text, steps: []string{post(100, "Connection: close")}},
		{name: "large chunk", handler: text, steps: []string{chunkedHead + "100000\r\n" + strings.Repeat("b", 1<<20) + "\r\n0\r\n\r\n"}},
		{name: "large chunks", handler: text, steps: []string{chunkedHead + strings.Repeat("10\r\n0123456789abcdef\r\n", 1<<16) + "0\r\n\r\n"}},
		{name: "small chunk", handler: text, steps: []string{chunkedHead + "64\r\n" + strings.Repeat("b", 100) + "\r\n0\r\nA: b\r\n\r\n"}},
		{name: "large and read", steps: []string{post(1<<20, "A: b")}},
		{name: "options", steps: []string{"OPTIONS * HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody"}},
		{name: "read after the answer's begin", steps: []string{post(100, "A: b")}, handler: func(w http.ResponseWriter, r *http.Request) {
			_ = http.NewResponseController(w).Flush()
			body, err := io.ReadAll(r.Body)
			_, _ = io.WriteString(w, string(body)+err.Error())
		}},
		{name: "multipart", steps: []string{"POST / HTTP/1.1\r\nHost: a\r\nContent-Type: multipart/form-data; boundary=b\r\nContent-Length: 68\r\n\r\n--b\r\nContent-Disposition: form-data; name=c; filename=d\r\n\r\ne\r\n--b--\r\n"}, handler: func(w http.ResponseWriter, r *http.Request) {
			err := r.ParseMultipartForm(0)
			_, _ = io.WriteString(w, itoa(len(r.MultipartForm.File))+fmt.Sprint(err))
		}},
	})
}
