package lbproxy

import (
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"testing"
)

// A target, a host or a method that no backend can be sent as one clear message is refused, and so
// is whatever follows on the connection. Nothing is counted against the backend.
func TestUnfitRequestsAreRefused(t *testing.T) {
	var came atomic.Int32
	p := startProxy(t, upstreams(framedBackend(t, func(string) { came.Add(1) })))
	for name, tc := range map[string]struct{ line, host, status string }{
		"opaque target":       {"GET coap:b HTTP/1.1", "x", "400"},
		"host as target":      {"GET x:80 HTTP/1.1", "x", "400"},
		"asterisk":            {"GET * HTTP/1.1", "x", "400"},
		"no host in target":   {"GET http:///a HTTP/1.1", "x", "400"},
		"port alone":          {"GET http://:80/a HTTP/1.1", "x", "400"},
		"another scheme":      {"GET ftp://x/a HTTP/1.1", "x", "400"},
		"port that is none":   {"GET / HTTP/1.1", "x:y", "400"},
		"unfinished escape":   {"GET / HTTP/1.1", "x%2", "400"},
		"brackets":            {"GET / HTTP/1.1", "[1.2.3.4]", "400"},
		"tunnel":              {"CONNECT x:80 HTTP/1.1", "x", "501"},
		"tunnel to a path":    {"CONNECT /a HTTP/1.1", "x", "501"},
		"preface with fields": {"PRI * HTTP/2.0", "x", "400"},
	} {
		_, in := p.raw(fmt.Sprintf("%s\r\nHost: %s\r\n\r\nGET /next HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", tc.line, tc.host))
		all, err := io.ReadAll(in)
		if err != nil || !strings.HasPrefix(string(all), "HTTP/1.1 "+tc.status+" ") || strings.Count(string(all), "HTTP/1.1 ") != 1 {
			t.Errorf("%s: %q, %v", name, all, err)
		}
	}
	if n := came.Load(); n != 0 {
		t.Errorf("the backend got %d requests", n)
	}
}

// HTTP/2 has lengths that its server does not look at.
func TestUnfitLengthsAreRefused(t *testing.T) {
	var came atomic.Int32
	p := startProxy(t, upstreams(framedBackend(t, func(string) { came.Add(1) })), serverOptions{server: `"protocols":["h1","h2c"]`})
	post := func(more ...[2]string) [][2]string {
		return append([][2]string{{":method", "POST"}, {":scheme", "http"}, {":authority", "x"}, {":path", "/"}}, more...)
	}
	for name, tc := range map[string]struct {
		fields [][2]string
		body   string
	}{
		"no number":      {post([2]string{"content-length", "+2"}), "hi"},
		"list":           {post([2]string{"content-length", "2, 2"}), "hi"},
		"two":            {post([2]string{"content-length", "2"}, [2]string{"content-length", "3"}), "hi"},
		"length of none": {post([2]string{"content-length", "2"}), ""},
	} {
		if status := h2Request(t, p, tc.body, tc.fields...); status != "400" && status != "" {
			t.Errorf("%s: %q", name, status)
		}
	}
	if n := came.Load(); n != 0 {
		t.Errorf("the backend got %d requests", n)
	}
}

// A backend that takes "#" for the end of a target would not see the rest.
func TestHashInQueryIsEscaped(t *testing.T) {
	lines := make(chan string, 1)
	p := startProxy(t, upstreams(framedBackend(t, func(head string) {
		line, _, _ := strings.Cut(head, "\r\n")
		lines <- line
	})))
	for _, more := range []string{"", "Via: 1.0 a\r\n"} { // as the engine writes it, and of a copy
		_, in := p.raw("GET /a#b?c#d HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" + more + "\r\n")
		_, _ = io.ReadAll(in)
		if line := <-lines; line != "GET /a%23b?c%23d HTTP/1.1" {
			t.Errorf("the backend got %q", line)
		}
	}
}

// "close" counts, whatever stands beside it, and a field that Connection nominates is not made up
// anew.
func TestOldConnectionsWithCloseEnd(t *testing.T) {
	p := startProxy(t, upstreams(framedBackend(t, func(string) {})))
	_, in := p.raw("GET / HTTP/1.0\r\nHost: x\r\nConnection: keep-alive, close\r\n\r\nGET /next HTTP/1.0\r\nHost: x\r\n\r\n")
	if all, err := io.ReadAll(in); err != nil || strings.Count(string(all), "HTTP/1.0 200") != 1 {
		t.Errorf("%q, %v", all, err)
	}
}
