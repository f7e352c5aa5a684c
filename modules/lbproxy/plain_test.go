package lbproxy

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
)

// A request that the engine writes from the client's own looks to the backend like one that was copied for it.
func TestPlainRequestsLookLikeCopies(t *testing.T) {
	b := startBackend(t, func(w http.ResponseWriter, r *http.Request) {
		r.Header.Del("X-Copied")
		var text bytes.Buffer
		fmt.Fprintf(&text, "%s %s %s %d\n", r.Method, r.RequestURI, r.Host, r.ContentLength)
		_ = r.Header.Write(&text) // sorted
		_, _ = w.Write(text.Bytes())
	})
	config := upstreams(b.URL) + `,"trusted_proxies":["127.0.0.0/8"]`
	requests := []string{
		"GET / HTTP/1.1\r\nHost: a.example\r\n",
		"GET /x%2Fy/%7e?q=1&q HTTP/1.1\r\nHost: a.example:81\r\nUser-Agent: me\r\nAccept: a\r\nAccept: b\r\n",
		"DELETE / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive\r\nKeep-Alive: timeout=5\r\nProxy-Authorization: x\r\n",
		"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n",
		"GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 1.1.1.1\r\nX-Forwarded-For: 2.2.2.2\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: b\r\n",
		"GET / HTTP/1.1\r\nHost: a\r\nUser-Agent:\r\nX-Empty:\r\nx-lower: y\r\n",
		"GET http://other.example/abs?x HTTP/1.1\r\nHost: a\r\n",
		"GET / HTTP/1.1\r\nHost: a\r\nConnection: X-Secret, close\r\nX-Secret: x\r\n",
		"GET / HTTP/1.1\r\nHost: a\r\nTE: trailers, gzip\r\nVia: 1.0 before\r\n",
		"GET / HTTP/1.0\r\nHost: a\r\nConnection: Keep-Alive\r\n",
	}
	var plain []string
	for _, request := range requests {
		plain = append(plain, seenBy(t, config, request))
	}
	for i, request := range requests {
		copied := seenBy(t, config+`,"headers":{"request":{"set":{"X-Copied":["yes"]}}}`, request)
		if copied != plain[i] {
			t.Errorf("%q: the backend sees\n%s\nof a copy\n%s", request, plain[i], copied)
		}
	}
}

// seenBy is the answer to a request, as text, through a server of its own.
func seenBy(t *testing.T, config, request string) (answer string) {
	t.Helper()
	t.Run("", func(t *testing.T) {
		conn, in := startProxy(t, config).raw(strings.TrimSuffix(request, "\r\n") + "\r\n\r\n")
		defer conn.Close()
		res, err := http.ReadResponse(in, nil)
		if err != nil {
			t.Fatalf("%q: %v", request, err)
		}
		text, err := io.ReadAll(res.Body)
		if err != nil || res.StatusCode != http.StatusOK {
			t.Fatalf("%q: %s, %v", request, res.Status, err)
		}
		answer = string(text)
	})
	return answer
}
