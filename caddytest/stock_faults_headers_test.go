package caddytest

import (
	"bufio"
	"compress/gzip"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

var headerFaults = []fault{
	{
		name: "gzip_added", what: "a client that does not ask for gzip, and a backend that can",
		run:   lengthOfAnswer,
		stock: "the answer has no `Content-Length`",
		ours:  "the answer has its `Content-Length`",
	},
	{
		name: "expect_continue", what: "`Expect: 100-continue`, and a backend that answers 417 instead of asking for the body",
		run:   expectContinue,
		stock: "the client is told 100 by the proxy, and the body is sent: 200",
		ours:  "the client is answered 417",
	},
	{
		name: "te_trailers", what: "`TE: trailers`, nominated by `Connection` as RFC 9110 asks for",
		run:   teTrailers,
		stock: "the backend gets no `TE`",
		ours:  "the backend gets `TE: trailers`",
	},
}

func lengthOfAnswer(t *testing.T, proxy string) string {
	b := NewBackends(t, "A")
	text := strings.Repeat("abcdefgh", 200)
	b[0].Do(func(w http.ResponseWriter, r *http.Request) {
		if !strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
			w.Header().Set("Content-Length", fmt.Sprint(len(text)))
			_, _ = io.WriteString(w, text)
			return
		}
		w.Header().Set("Content-Encoding", "gzip")
		zip := gzip.NewWriter(w)
		_, _ = io.WriteString(zip, text)
		_ = zip.Close()
	})
	s := startAs(t, proxy, `http://127.0.0.1:{$PORT} {
	{$PROXY} {$A}
}
`, addresses(b...))
	r := s.Get(s.URL("PORT", "/"))
	if r.Body != text {
		t.Fatalf("the body has %d bytes, want %d", len(r.Body), len(text))
	}
	if r.Header.Get("Content-Length") == "" {
		return "the answer has no `Content-Length`"
	}
	return "the answer has its `Content-Length`"
}

// raw sends text over a connection of its own and returns the connection and a reader of what comes back.
func (s *Server) raw(text string) (net.Conn, *bufio.Reader) {
	s.t.Helper()
	conn, err := net.Dial("tcp", "127.0.0.1:"+s.vars["PORT"])
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(patience())); err != nil {
		s.t.Fatal(err)
	}
	if _, err := io.WriteString(conn, text); err != nil {
		s.t.Fatal(err)
	}
	return conn, bufio.NewReader(conn)
}

// refuseBodies answers each request 417 unless its body comes all the same. It is made by hand because a server of
// net/http asks for the body as soon as it is read.
func refuseBodies(ln net.Listener) {
	for {
		conn, err := ln.Accept()
		if err != nil {
			return
		}
		in := bufio.NewReader(conn)
		if req, err := http.ReadRequest(in); err == nil {
			// Longer than a proxy takes to pass the body on unasked, and shorter than a second, after which a
			// proxy may take a silent backend for one that does not know the expectation.
			_ = conn.SetReadDeadline(time.Now().Add(300 * time.Millisecond))
			status := "200 OK"
			if _, err := io.ReadAll(req.Body); err != nil {
				status = "417 Expectation Failed"
			}
			_, _ = io.WriteString(conn, "HTTP/1.1 "+status+"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
		}
		conn.Close()
	}
}

func expectContinue(t *testing.T, proxy string) string {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	go refuseBodies(ln)
	s := startAs(t, proxy, `http://127.0.0.1:{$PORT} {
	{$PROXY} {$A}
}
`, map[string]string{"A": ln.Addr().String()})
	conn, answer := s.raw("POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n")
	resp, err := http.ReadResponse(answer, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusContinue {
		return fmt.Sprintf("the client is answered %d", resp.StatusCode)
	}
	if _, err := io.WriteString(conn, "body"); err != nil {
		t.Fatal(err)
	}
	if resp, err = http.ReadResponse(answer, nil); err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	return fmt.Sprintf("the client is told 100 by the proxy, and the body is sent: %d", resp.StatusCode)
}

func teTrailers(t *testing.T, proxy string) string {
	b := NewBackends(t, "A")
	b[0].Do(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.Header.Get("Te")) })
	s := startAs(t, proxy, `http://127.0.0.1:{$PORT} {
	{$PROXY} {$A}
}
`, addresses(b...))
	_, answer := s.raw("GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nTE: trailers\r\nConnection: TE\r\n\r\n")
	resp, err := http.ReadResponse(answer, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	te, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if len(te) == 0 {
		return "the backend gets no `TE`"
	}
	return fmt.Sprintf("the backend gets `TE: %s`", te)
}
