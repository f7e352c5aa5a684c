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

const scriptPage = "<html><script>alert(1)</script></html>"

// untypedAnswers are answers without a type, by the path they are asked for.
var untypedAnswers = map[string]string{
	"/length":  fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(scriptPage), scriptPage),
	"/chunked": fmt.Sprintf("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", len(scriptPage), scriptPage),
	"/long":    fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", 100_000, strings.Repeat(scriptPage, 3000)[:100_000]),
	"/error":   fmt.Sprintf("HTTP/1.1 500 Oh\r\nContent-Length: %d\r\n\r\n%s", len(scriptPage), scriptPage),
	"/empty":   "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
	"/hinted":  fmt.Sprintf("%sHTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", hints, len(scriptPage), scriptPage),
	"/head":    "HTTP/1.1 200 OK\r\nContent-Length: 38\r\n\r\n",
}

func untypedBackend(t *testing.T) string {
	return rawBackend(t, func(conn net.Conn, r *bufio.Reader) {
		for {
			req, err := http.ReadRequest(r)
			if err != nil {
				return
			}
			answer := untypedAnswers[req.URL.Path]
			if req.URL.Path == "/split" {
				head, body, _ := strings.Cut(untypedAnswers["/chunked"], "\r\n\r\n")
				_, _ = io.WriteString(conn, head+"\r\n\r\n")
				answer = body
			}
			if _, err := io.WriteString(conn, answer); err != nil {
				return
			}
		}
	})
}

// The type of a body that its backend left untyped is not made up, whatever the answer takes on its
// way.
func TestAnswersStayUntyped(t *testing.T) {
	address := untypedBackend(t)
	copied := `,"handle_response":[{"routes":[{"handle":[{"handler":"copy_response"}]}]}]`
	for _, handler := range []string{
		"", copied, `,"flush_interval":-1`, `,"response_buffers":-1`,
		`,"headers":{"response":{"set":{"X-More":["1"]}}}`,
		`,"filters":[{"filter":"body_limit","max_response":1000000}]`,
		`,"filters":[{"filter":"replace","pairs":[{"search":"alert","replacement":"x"}],"content_types":["text/*"]}]`,
	} {
		p := startProxy(t, upstreams(address)+handler, overH2C)
		h2 := h2cClient(t)
		for path := range untypedAnswers {
			method := http.MethodGet
			if path == "/head" {
				method = http.MethodHead
			}
			check := func(how string, client *http.Client) {
				req, _ := http.NewRequest(method, p.url(path), nil)
				req.Close = client != p.client
				res, err := client.Do(req)
				if err != nil {
					t.Errorf("%s %s: %v", how, path, err)
					return
				}
				defer res.Body.Close()
				_, _ = io.Copy(io.Discard, res.Body)
				if v, ok := res.Header["Content-Type"]; ok {
					t.Errorf("%s %s by %s: Content-Type is %q", handler, path, how, v)
				}
			}
			check("the first request", &http.Client{Transport: new(http.Transport), Timeout: patience})
			check("a later request", p.client)
			check("HTTP/2", h2)
		}
	}
}

// A type that somebody gives an untyped answer is kept.
func TestUntypedAnswersCanBeTyped(t *testing.T) {
	address := untypedBackend(t)
	for handler, options := range map[string]serverOptions{
		`,"headers":{"response":{"set":{"Content-Type":["a/b"]}}}`:                     {},
		`,"filters":[{"filter":"header","response_default":{"Content-Type":["a/b"]}}]`: {},
		`,"flush_interval":0`: {before: `{"handler":"headers","response":{"set":{"Content-Type":["a/b"]}}}`},
		`,"flush_interval":-1`: {before: `{"handler":"headers","response":{"deferred":true,
			"require":{"headers":{"Content-Type":null}},"set":{"Content-Type":["a/b"]}}}`},
	} {
		p := startProxy(t, upstreams(address)+handler, options)
		if r := p.get("/length"); r.header.Get("Content-Type") != "a/b" || len(r.header["Content-Type"]) != 1 {
			t.Errorf("%s, %s: Content-Type is %q", handler, options.before, r.header["Content-Type"])
		}
	}
}

// 426 says what to upgrade to (RFC 9110, section 15.5.22).
func TestUpgradeRequired(t *testing.T) {
	const early = "/early"
	address := rawBackend(t, func(conn net.Conn, r *bufio.Reader) {
		for {
			req, err := http.ReadRequest(r)
			if err != nil {
				return
			}
			status := "426 Upgrade Required"
			if req.URL.Path == "/other" {
				status = "400 Bad Request"
			}
			fmt.Fprintf(conn, "HTTP/1.1 %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 3\r\n\r\nups", status)
			if req.URL.Path == early {
				return
			}
		}
	})
	for _, tc := range []struct{ handler, request, upgrade, connection string }{
		{"", "GET / HTTP/1.1\r\nHost: x\r\n\r\n", "websocket", "Upgrade "},
		{"", "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 8\r\n\r\n", "websocket", "Upgrade "},
		{"", "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", "websocket", "close Upgrade "},
		{"", "POST /early HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\npart", "websocket", "close Upgrade "},
		{"", "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", "websocket", "keep-alive "},
		{"", "GET /other HTTP/1.1\r\nHost: x\r\n\r\n", "", ""},
		{`,"headers":{"response":{"set":{"X-More":["1"]}}}`, "GET / HTTP/1.1\r\nHost: x\r\n\r\n", "websocket", "Upgrade "},
		{`,"headers":{"response":{"delete":["Upgrade"]}}`, "GET / HTTP/1.1\r\nHost: x\r\n\r\n", "", ""},
		{`,"handle_response":[{"status_code":"400"}]`, "GET / HTTP/1.1\r\nHost: x\r\n\r\n", "", ""},
	} {
		p := startProxy(t, upstreams(address)+tc.handler)
		for _, before := range []string{"", "GET / HTTP/1.1\r\nHost: x\r\n\r\n"} {
			conn, r := p.raw(before)
			if before != "" {
				readHead(t, r)
				_, _ = io.ReadFull(r, make([]byte, len("ups")))
			}
			_, _ = io.WriteString(conn, tc.request)
			upgrade, connection := "", ""
			for line := range strings.Lines(readHead(t, r)) {
				switch name, value, _ := strings.Cut(strings.TrimSpace(line), ": "); name {
				case "Upgrade":
					upgrade += value
				case "Connection":
					connection += value + " "
				}
			}
			if upgrade != tc.upgrade || connection != tc.connection {
				t.Errorf("%s %q behind %q: Upgrade %q, Connection %q", tc.handler, tc.request, before, upgrade, connection)
			}
		}
	}
	p := startProxy(t, upstreams(address), overH2C)
	req, _ := http.NewRequest(http.MethodGet, p.url("/"), nil)
	req.Close = true
	res, err := h2cClient(t).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, res.Body)
	res.Body.Close()
	if res.StatusCode != http.StatusUpgradeRequired || res.Header.Get("Upgrade") != "" || res.Header.Get("Connection") != "" {
		t.Errorf("HTTP/2: %d %v", res.StatusCode, res.Header)
	}
}
