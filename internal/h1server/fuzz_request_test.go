package h1server

import (
	"bufio"
	"bytes"
	"context"
	"net/http"
	"reflect"
	"testing"

	"github.com/caddylb/caddy-lb/internal/syntax"
)

// FuzzRequest looks for heads that the parser takes, but net/http refuses or understands otherwise.
func FuzzRequest(f *testing.F) {
	for _, s := range []string{
		"GET / HTTP/1.1\r\nHost: a\r\n\r\n", "GET /a?b=c&d HTTP/1.1\r\nHost: a:80\r\nAccept: */*\r\nUser-Agent: b c\r\n\r\n", "HEAD /%61%2f HTTP/1.1\r\nhost: A\r\n\r\n",
		"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nContent-Type: a/b\r\n\r\nbody", "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", "GET //b/c HTTP/1.1\r\nHost: a\r\nCookie: a=b\r\nCookie: c=d\r\n\r\n",
		"GET /? HTTP/1.1\r\nHost:\r\nConnection: close, a\r\n\r\n", "GET http://b/c HTTP/1.1\r\nHost: a\r\n\r\n", "GET http:///c HTTP/1.1\r\nHost: a\r\n\r\n", "GET coap:b HTTP/1.1\r\nHost: a\r\n\r\n", "CONNECT b:80 HTTP/1.1\r\nHost: a\r\n\r\n",
		"PUT /a;b=c,d@e HTTP/1.1\r\nHost: a\r\nContent-Length:\t007 \r\nEtag: \"a\"\r\nETag: \"b\"\r\nx-request-ID: c\r\n\r\n", "GET /!'()*[]|^ HTTP/1.1\r\nHost: [::1]\r\nA:\r\nB:  c  \r\n\r\n", "GET /a#b?c#d HTTP/1.1\r\nHost: a\r\n\r\n",
		"GET / HTTP/1.0\r\nHost: a\r\n\r\n", "GET / HTTP/1.1\nHost: a\n\n", "GET / HTTP/1.1\r\nHost: a\r\nB: c\r\n d\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\r\nB : c\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\r\nPragma: no-cache\r\n\r\n",
		"GET /\xc3\xa9?\xff HTTP/1.1\r\nHost: a\r\nB: \xc3\xa9\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\ncontent-length: 1\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: h2c\r\nExpect: 100-continue\r\nTrailer: A\r\n\r\n",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, p []byte) {
		end := syntax.HeadEnd(p, 0)
		if end == 0 {
			t.Skip("the head does not end")
		}
		head := p[:end]
		c := newConn(New(nil, Options{}))
		c.ctx = context.Background()
		x := c.newExchange()
		if !x.parse(head) {
			if x.req.Method != "" || x.req.Header != nil || x.req.Body != nil {
				t.Fatal("a request was refused, but left something behind")
			}
			return
		}
		br := bufio.NewReader(bytes.NewReader(head))
		want, err := http.ReadRequest(br)
		if err != nil {
			t.Fatalf("net/http refuses what was taken: %v", err)
		}
		if br.Buffered() > 0 {
			t.Fatalf("net/http's head is shorter by %d", br.Buffered())
		}
		if err := checkRequest(want, fieldValues(head, "Host")); err != nil {
			t.Fatalf("net/http's server refuses what was taken: %v", err)
		}
		expectSame(t, x.req, want)
		if x.wantsClose != want.Close {
			t.Fatal("the connection's end is not known")
		}
	})
}

// expectSame compares requests, but their bodies, of which one has no content.
func expectSame(t *testing.T, got, want *http.Request) {
	t.Helper()
	if (got.Body == http.NoBody) != (want.Body == http.NoBody) {
		t.Errorf("no body: %v, want %v", got.Body == http.NoBody, want.Body == http.NoBody)
	}
	a, b := got.Clone(context.Background()), want.Clone(context.Background())
	a.Body, b.Body = nil, nil
	if !reflect.DeepEqual(a, b) {
		t.Errorf("got\n%#v\n%#v\nwant\n%#v\n%#v", a, a.URL, b, b.URL)
	}
}
