package lbproxy

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/caddyserver/caddy/v2"
)

// answersByPath runs a backend that answers /a with answers["a"] as it stands, on a connection that it keeps. It counts
// connections.
func answersByPath(t *testing.T, answers map[string]string, connections *atomic.Int32) string {
	return rawBackend(t, func(conn net.Conn, r *bufio.Reader) {
		connections.Add(1)
		for {
			req, err := http.ReadRequest(r)
			if err != nil {
				return
			}
			_, _ = io.Copy(io.Discard, req.Body)
			if _, err := io.WriteString(conn, answers[strings.TrimPrefix(req.URL.Path, "/")]); err != nil {
				return
			}
		}
	})
}

// Answers that end with their header, whatever that says about a length, leave the connection to the next request.
func TestAnswersWithoutBodyKeepTheConnection(t *testing.T) {
	var connections atomic.Int32
	p := startProxy(t, upstreams(answersByPath(t, map[string]string{
		"length":  "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n",
		"chunked": "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
		"304":     "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\nEtag: \"x\"\r\n\r\n",
		"204":     "HTTP/1.1 204 No Content\r\n\r\n",
		"102":     "HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: <a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody",
		"empty":   "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"body":    "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody",
	}, &connections)))
	for _, tc := range []struct {
		method, path string
		status       int
		body         string
	}{
		{"HEAD", "/length", 200, ""},
		{"HEAD", "/chunked", 200, ""},
		{"GET", "/304", 304, ""},
		{"GET", "/204", 204, ""},
		{"GET", "/102", 200, "body"},
		{"GET", "/empty", 200, ""},
		{"PUT", "/204", 204, ""},
		{"GET", "/body", 200, "body"},
	} {
		if r := p.send(tc.method, tc.path, nil); r.status != tc.status || r.body != tc.body {
			t.Errorf("%s %s: %d %q, want %d %q", tc.method, tc.path, r.status, r.body, tc.status, tc.body)
		}
	}
	if n := connections.Load(); n != 1 {
		t.Errorf("there were %d connections to the backend, want 1", n)
	}
}

// What a backend sends beyond the end of an answer is no answer to the next request, of whichever client.
func TestBytesAfterAnAnswerAreNoAnswer(t *testing.T) {
	const poison = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison"
	var connections atomic.Int32
	p := startProxy(t, upstreams(answersByPath(t, map[string]string{
		"length":  "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok" + poison,
		"chunked": "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n" + poison,
		"204":     "HTTP/1.1 204 No Content\r\n\r\n" + poison,
		"304":     "HTTP/1.1 304 Not Modified\r\nContent-Length: 44\r\n\r\n" + poison,
		"head":    "HTTP/1.1 200 OK\r\nContent-Length: 44\r\n\r\n" + poison,
		"good":    "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood",
	}, &connections)))
	for _, path := range []string{"/length", "/chunked", "/204", "/304", "/head"} {
		method := http.MethodGet
		if path == "/head" {
			method = http.MethodHead
		}
		for range 5 {
			if r := p.send(method, path, nil); strings.Contains(r.body, "poison") {
				t.Errorf("%s %s was answered %q", method, path, r.body)
			}
			if r := p.get("/good"); r.status != 200 || r.body != "good" {
				t.Errorf("after %s the next request was answered %d %q", path, r.status, r.body)
			}
		}
	}
}

// An answer that two readers could take for different messages is refused, or passed on in one framing that leaves
// no doubt; nothing of it reaches another request.
func TestAmbiguousAnswers(t *testing.T) {
	const either = 0
	for name, tc := range map[string]struct {
		answer string
		status int
		body   string
	}{
		"two lengths":            {"Content-Length: 2\r\nContent-Length: 4\r\n\r\nbody", 502, ""},
		"lengths in a list":      {"Content-Length: 2, 4\r\n\r\nbody", 502, ""},
		"negative length":        {"Content-Length: -4\r\n\r\nbody", 502, ""},
		"signed length":          {"Content-Length: +4\r\n\r\nbody", 502, ""},
		"hexadecimal length":     {"Content-Length: 0x4\r\n\r\nbody", 502, ""},
		"huge length":            {"Content-Length: 99999999999999999999\r\n\r\nbody", 502, ""},
		"unknown coding":         {"Transfer-Encoding: xchunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n", 502, ""},
		"chunked twice":          {"Transfer-Encoding: chunked, chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n", 502, ""},
		"coding after chunked":   {"Transfer-Encoding: chunked, identity\r\n\r\n4\r\nbody\r\n0\r\n\r\n", 502, ""},
		"space before colon":     {"Content-Length : 2\r\n\r\nbody", either, "bo"},
		"NUL in a value":         {"X-A: a\x00b\r\nContent-Length: 4\r\n\r\nbody", 502, ""},
		"length and chunked":     {"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n", 200, "body"},
		"the same length twice":  {"Content-Length: 4\r\nContent-Length: 4\r\n\r\nbody", 200, "body"},
		"a length that is named": {"Connection: Content-Length\r\nContent-Length: 4\r\n\r\nbody", 200, "body"},
	} {
		t.Run(name, func(t *testing.T) {
			address := rawBackend(t, func(conn net.Conn, r *bufio.Reader) {
				readHead(t, r)
				fmt.Fprint(conn, "HTTP/1.1 200 OK\r\n"+tc.answer)
			})
			p := startProxy(t, upstreams(address))
			defer func() { _ = caddy.Stop() }()
			_, in := p.raw("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
			var head strings.Builder
			res, err := http.ReadResponse(bufio.NewReader(io.TeeReader(in, &head)), nil)
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			body, err := io.ReadAll(res.Body)
			if tc.status == either && res.StatusCode == http.StatusBadGateway {
				return
			}
			if err != nil || res.StatusCode != max(tc.status, http.StatusOK) || string(body) != tc.body {
				t.Errorf("answered %d %q, %v; want %d %q", res.StatusCode, body, err, tc.status, tc.body)
			}
			lower := strings.ToLower(head.String())
			if n := strings.Count(lower, "content-length") + strings.Count(lower, "transfer-encoding"); n > 1 || strings.Contains(lower, "\x00") {
				t.Errorf("the client is sent %q", head.String())
			}
		})
	}
}

// Trailers that say how a message is framed or routed are not passed on (RFC 9110, section 6.5.1).
func TestForbiddenTrailersAreDropped(t *testing.T) {
	var connections atomic.Int32
	p := startProxy(t, upstreams(answersByPath(t, map[string]string{
		"": "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n" +
			"Content-Length: 99\r\nTransfer-Encoding: chunked\r\nConnection: close\r\nX-Sum: 4\r\n\r\n",
	}, &connections)))
	_, in := p.raw("GET / HTTP/1.1\r\nHost: x\r\nTE: trailers\r\nConnection: TE, close\r\n\r\n")
	all, err := io.ReadAll(in)
	if err != nil {
		t.Fatal(err)
	}
	head, trailer, _ := strings.Cut(string(all), "\r\n4\r\nbody\r\n0\r\n")
	if !strings.HasPrefix(head, "HTTP/1.1 200 ") || trailer != "X-Sum: 4\r\n\r\n" {
		t.Errorf("the client is sent %q", all)
	}
}
