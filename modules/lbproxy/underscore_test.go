package lbproxy

import (
	"bufio"
	"io"
	"net/http"
	"testing"
)

// Caddy's server drops fields that some backends take for others, on a connection's first request
// and on later ones, unless its option expects them.
func TestFieldsWithUnderscores(t *testing.T) {
	b := startBackend(t, echoHeader)
	for option, want := range map[string]string{"": "", `"expected_underscore_headers":["x_forwarded_for"]`: "6.6.6.6"} {
		p := startProxy(t, upstreams(b.URL), serverOptions{server: option})
		conn, r := p.raw("")
		for range 2 {
			_, _ = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\nX_Forwarded_For: 6.6.6.6\r\nX-Kept: 1\r\n\r\n")
			h := seenHeader(t, readReply(t, r))
			if got := h.Get("X_Forwarded_For"); got != want || h.Get(forwardedFor) != "127.0.0.1" || h.Get("X-Kept") != "1" {
				t.Errorf("%s: the backend saw %v", option, h)
			}
		}
	}
}

// readReply reads an answer off a raw connection.
func readReply(t *testing.T, r *bufio.Reader) reply {
	t.Helper()
	res, err := http.ReadResponse(r, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return reply{status: res.StatusCode, header: res.Header, trailer: res.Trailer, body: string(text), res: res}
}
