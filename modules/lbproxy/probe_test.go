package lbproxy

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
)

// A GET has no body for the backend when the client's turns out empty, and else has all of it, however late it comes.
func TestBodyOfAGet(t *testing.T) {
	heads := make(chan string, 1)
	address := rawBackend(t, func(conn net.Conn, r *bufio.Reader) {
		var head strings.Builder
		req, err := http.ReadRequest(bufio.NewReader(io.TeeReader(r, &head)))
		if err != nil {
			return
		}
		heads <- head.String()
		body, _ := io.ReadAll(req.Body)
		fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s", len(body), body)
	})
	p := startProxy(t, upstreams(address))
	for _, tc := range []struct {
		name, early, late string // chunks, before and after the backend has the header
		body              string
		chunked           bool
	}{
		{"empty", "0\r\n\r\n", "", "", false},
		{"at once", "4\r\nbody\r\n0\r\n\r\n", "", "body", true},
		{"late", "", "4\r\nbody\r\n0\r\n\r\n", "body", true},
		{"late and empty", "", "0\r\n\r\n", "", true},
	} {
		conn, r := p.raw("GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + tc.early)
		head := <-heads
		if got := strings.Contains(head, "Transfer-Encoding: chunked"); got != tc.chunked {
			t.Errorf("%s: the backend is asked with %q", tc.name, head)
		}
		_, _ = io.WriteString(conn, tc.late)
		res, err := http.ReadResponse(r, nil)
		if err != nil {
			t.Fatal(err)
		}
		if body, err := io.ReadAll(res.Body); err != nil || string(body) != tc.body {
			t.Errorf("%s: %q came back, %v", tc.name, body, err)
		}
		res.Body.Close()
	}
}
