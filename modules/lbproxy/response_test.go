package lbproxy

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
)

func TestResponseHeader(t *testing.T) {
	b := startBackend(t, func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Connection", "X-Hop")
		h.Set("X-Hop", "1")
		h.Set("Keep-Alive", "timeout=1")
		h.Set("Proxy-Authenticate", "Basic")
		h.Set("Alt-Svc", "clear")
		h.Set("Upgrade", "h2c")
		h.Set("Server", "backend")
		h.Add("Set-Cookie", "a=1")
		h.Add("Set-Cookie", "b=2")
		h.Set("Via", "1.1 inner")
		h.Set("X-Gone", "1")
		h.Set("X-Shown", "old")
	})
	p := startProxy(t, upstreams(b.URL)+`,"headers":{"response":{"delete":["X-Gone"],
		"set":{"X-Shown":["was {http.reverse_proxy.header.X-Shown}, {http.reverse_proxy.status_code}"]}}}`)
	r := p.get("/")
	for field, want := range map[string][]string{
		"X-Hop": nil, "Keep-Alive": nil, "Proxy-Authenticate": nil, "Alt-Svc": nil, "Upgrade": nil, "X-Gone": nil,
		"Server": {"backend"}, "Set-Cookie": {"a=1", "b=2"}, "Via": {"1.1 Caddy", "1.1 inner"}, "X-Shown": {"was old, 200"},
	} {
		if got := r.header[field]; !slices.Equal(got, want) {
			t.Errorf("%s is %q, want %q", field, got, want)
		}
	}
}

func TestResponseFraming(t *testing.T) {
	b := startBackend(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/length":
			w.Header().Set("Content-Length", "5")
			_, _ = io.WriteString(w, "12345")
		case "/chunked":
			_, _ = io.WriteString(w, "123")
			_ = http.NewResponseController(w).Flush()
			_, _ = io.WriteString(w, "45")
		case "/304":
			w.Header().Set("Etag", `"x"`)
			w.WriteHeader(304)
		case "/204":
			w.WriteHeader(204)
		case "/gzip":
			if ae, ok := r.Header["Accept-Encoding"]; ok {
				t.Errorf("Accept-Encoding %q was added", ae)
			}
		}
	})
	p := startProxy(t, upstreams(b.URL))
	for _, tc := range []struct {
		method, path string
		status       int
		length       int64
		body         string
	}{
		{"GET", "/length", 200, 5, "12345"},
		{"HEAD", "/length", 200, 5, ""},
		{"GET", "/chunked", 200, -1, "12345"},
		{"GET", "/304", 304, 0, ""},
		{"GET", "/204", 204, 0, ""},
		{"GET", "/gzip", 200, 0, ""},
	} {
		r := p.send(tc.method, tc.path, nil)
		if r.status != tc.status || r.res.ContentLength != tc.length || r.body != tc.body {
			t.Errorf("%s %s: %d, length %d, %q", tc.method, tc.path, r.status, r.res.ContentLength, r.body)
		}
	}
}

func TestTruncatedAnswerBreaksTheClients(t *testing.T) {
	for name, answer := range map[string]string{
		"length":  "Content-Length: 100\r\n\r\nsome",
		"chunked": "Transfer-Encoding: chunked\r\n\r\n4\r\nsome\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			address := rawBackend(t, func(conn net.Conn, r *bufio.Reader) {
				readHead(t, r)
				fmt.Fprint(conn, "HTTP/1.1 200 OK\r\n"+answer)
			})
			p := startProxy(t, upstreams(address)+`,"health_checks":{"passive":{"fail_duration":"1h"}}`)
			res, err := p.client.Get(p.url("/"))
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			got, err := io.ReadAll(res.Body)
			if err == nil || string(got) != "some" {
				t.Errorf("got %q, %v; want what there was, and an error", got, err)
			}
			m := runningPools()[0].Snapshot().Members[0]
			eventually(t, "strike", func() bool { return recentFails(m) == 1 })
			if r := p.get("/"); r.status != 503 {
				t.Errorf("the backend is still used: %d", r.status)
			}
		})
	}
}

func TestResponseTrailers(t *testing.T) {
	b := startBackend(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/announced" {
			w.Header().Set("Trailer", "X-Sum")
			_, _ = io.WriteString(w, "body")
			w.Header().Set("X-Sum", "4")
			return
		}
		if r.URL.Path == "/unannounced" {
			_, _ = io.WriteString(w, "body")
		}
		_ = http.NewResponseController(w).Flush()
		w.Header().Set(http.TrailerPrefix+"X-Sum", "4")
	})
	p := startProxy(t, upstreams(b.URL))
	for path, body := range map[string]string{"/announced": "body", "/unannounced": "body", "/empty": ""} {
		r := p.get(path)
		if got := r.trailer.Get("X-Sum"); got != "4" || r.body != body {
			t.Errorf("%s: trailer %v, body %q", path, r.trailer, r.body)
		}
	}
}

func TestRequestTrailers(t *testing.T) {
	b := startBackend(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %s %v", body, r.Trailer.Get("X-Sum"), r.TransferEncoding)
	})
	dead := deadAddress(t)
	for _, buffers := range []string{"", `,"request_buffers":1000`} {
		p := startProxy(t, upstreams(dead, b.URL)+buffers+`,"load_balancing":{"selection_policy":{"policy":"first"}}`)
		req, _ := http.NewRequest("POST", p.url("/"), io.NopCloser(strings.NewReader("body")))
		req.Trailer = http.Header{"X-Sum": {"4"}}
		if r := p.do(req); r.body != "body 4 [chunked]" {
			t.Errorf("%s: the backend saw %q", buffers, r.body)
		}
		_ = caddy.Stop()
	}
}

func TestHandleResponse(t *testing.T) {
	b := startBackend(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Accel", "/there")
		w.WriteHeader(map[string]int{"/a": 404, "/b": 418, "/c": 500}[r.URL.Path])
		_, _ = io.WriteString(w, "backend")
	})
	p := startProxy(t, upstreams(b.URL)+`,"handle_response":[
		{"match":{"status_code":[404]},"routes":[{"handle":[{"handler":"static_response","status_code":203,
			"body":"{http.reverse_proxy.status_code} {http.reverse_proxy.status_text} {http.reverse_proxy.header.X-Accel}"}]}]},
		{"match":{"status_code":[418]},"status_code":"{http.request.header.Want}"},
		{"routes":[{"handle":[{"handler":"headers","response":{"set":{"X-Fell":["through"]}}}]}]}
	]`, serverOptions{after: `{"handler":"static_response","body":"next"}`})
	for _, tc := range []struct {
		path   string
		status int
		body   string
	}{
		{"/a", 203, "404 404 Not Found /there"}, {"/b", 299, "backend"}, {"/c", 200, "next"},
	} {
		if r := p.get(tc.path, "Want", "299"); r.status != tc.status || r.body != tc.body {
			t.Errorf("%s: %d %q", tc.path, r.status, r.body)
		}
	}
}

func TestSmugglingShapes(t *testing.T) {
	var heads []string
	seen := make(chan string, 16)
	address := rawBackend(t, func(conn net.Conn, r *bufio.Reader) {
		for {
			if _, err := r.Peek(1); err != nil {
				return
			}
			head := readHead(t, r)
			if strings.Contains(head, "chunked") {
				for line := ""; line != "0\r\n"; line, _ = r.ReadString('\n') {
				}
				_, _ = r.ReadString('\n')
			}
			seen <- head
			fmt.Fprint(conn, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
		}
	})
	p := startProxy(t, upstreams(address))
	for name, tc := range map[string]struct{ request, status string }{
		"length and chunked": {"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", "200"},
		"two lengths":        {"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\nhello", "400"},
		"two codings":        {"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", "501"},
		"space before colon": {"POST / HTTP/1.1\r\nHost: x\r\nContent-Length : 4\r\n\r\nbody", "400"},
		"bare CR":            {"GET / HTTP/1.1\r\nHost: x\r\nX-A: a\rX-B: b\r\n\r\n", "400"},
		"obs-fold":           {"GET / HTTP/1.1\r\nHost: x\r\nX-A: a\r\n b\r\n\r\n", "200"},
		"NUL":                {"GET / HTTP/1.1\r\nHost: x\r\nX-A: a\x00b\r\n\r\n", "400"},
		"nominated length":   {"POST / HTTP/1.1\r\nHost: x\r\nConnection: Content-Length\r\nContent-Length: 0\r\n\r\n", "200"},
	} {
		_, r := p.raw(tc.request)
		answer := readHead(t, r)
		if !strings.HasPrefix(answer, "HTTP/1.1 "+tc.status) {
			t.Errorf("%s: answer %.40q, want %s", name, answer, tc.status)
		}
	}
	close(seen)
	for head := range seen {
		heads = append(heads, head)
		lower := strings.ToLower(head)
		if strings.Count(lower, "content-length")+strings.Count(lower, "transfer-encoding") > 1 || strings.ContainsAny(strings.ReplaceAll(head, "\r\n", ""), "\r\n\x00") {
			t.Errorf("ambiguous request %q", head)
		}
	}
	if len(heads) != 3 {
		t.Errorf("the backend saw %d requests: %q", len(heads), heads)
	}
}
