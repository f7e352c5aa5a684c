package h1server

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestX(t *testing.T) {
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "hi") })
	s := New(h, Options{MaxHeaderBytes: 16 << 10})
	ts := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !s.Adopt(w, r) {
			h(w, r)
		}
	}))
	c, _ := net.Dial("tcp", ts.Listener.Addr().String())
	br := bufio.NewReader(c)
	io.WriteString(c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	r, err := http.ReadResponse(br, nil)
	t.Log(r, err)
	io.ReadAll(r.Body)
	io.WriteString(c, "GET / HTTP/1.1\r\nHost: a\r\nX: "+strings.Repeat("x", 64<<10)+"\r\n\r\n")
	b, err := io.ReadAll(br)
	t.Logf("%q %v", b, err)
}
