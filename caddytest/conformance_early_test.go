package caddytest

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
)

// earlyAnswerer answers each request as soon as its header is there, without its body, and counts those for /inner.
func earlyAnswerer(t *testing.T, inner *atomic.Int64) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				req, err := http.ReadRequest(bufio.NewReader(conn))
				if err != nil {
					return
				}
				if req.URL.Path == "/inner" {
					inner.Add(1)
				}
				_, _ = io.WriteString(conn, "HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno")
				_, _ = io.Copy(io.Discard, conn)
			}()
		}
	}()
	return ln.Addr().String()
}

// A backend may answer before the body was sent. What the client still sends is a body all the same, and must not be
// taken for another request (RFC 9112, section 9.3).
func TestUnreadBodyIsNoRequest(t *testing.T) {
	for _, length := range []int{64, 64 << 10, 1 << 20} {
		t.Run(fmt.Sprint(length), func(t *testing.T) {
			t.Parallel()
			var inner atomic.Int64
			s := Start(t, plain, map[string]string{"A": earlyAnswerer(t, &inner)})
			// 64 bytes, so that one begins wherever reading in blocks may have ended.
			const request = "GET /inner HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Fill: to be 64 bytes\r\n\r\n"
			body := strings.Repeat(request, length/len(request))
			conn, in := s.raw(fmt.Sprintf("POST /outer HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: %d\r\n\r\n", length))
			resp, err := http.ReadResponse(in, nil)
			if err != nil {
				t.Fatal(err)
			}
			if answer, err := io.ReadAll(resp.Body); resp.StatusCode != http.StatusForbidden || string(answer) != "no" {
				t.Errorf("answered %s with %q, %v", resp.Status, answer, err)
			}
			if !resp.Close {
				t.Error("the answer does not say that the connection ends with it")
			}
			// The server may have closed the connection already, so that neither writing nor reading has to succeed.
			_, _ = io.WriteString(conn, body)
			if more, _ := io.ReadAll(in); len(more) > 0 {
				t.Errorf("the body was answered as if it were requests: %.200q", more)
			}
			if n := inner.Load(); n > 0 {
				t.Errorf("the backend was given %d requests that are part of the body", n)
			}
		})
	}
}

// A client that sends a large body gets the answer that does not wait for it, and not just a reset connection.
func TestEarlyAnswerReachesASender(t *testing.T) {
	var inner atomic.Int64
	s := Start(t, plain, map[string]string{"A": earlyAnswerer(t, &inner)})
	body := strings.Repeat("x", 8<<20)
	for i := range 8 {
		if r := s.do(newRequest(t, http.MethodPost, s.URL("PORT", "/"), body)); r.Status != http.StatusForbidden || r.Body != "no" {
			t.Errorf("request %d was answered %d with %q", i, r.Status, r.Body)
		}
	}
}
