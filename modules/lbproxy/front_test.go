package lbproxy

import (
	"io"
	"net/http"
	"testing"
)

// A request that has its length in two ways is the last one of its connection (RFC 9112, section
// 6.1), whoever reads it.
func TestAmbiguousRequestsEndTheConnection(t *testing.T) {
	const request = "POST /main HTTP/1.1\r\nHost: a\r\nContent-Length: 36\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
	const badTrailer = postHead + "\r\n0\r\n X: y\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
	for name, options := range map[string]serverOptions{"own": {}, "net/http": netHTTPOnly} {
		t.Run(name, func(t *testing.T) {
			b := startBackend(t, func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/smuggled" {
					t.Error("what follows was served")
				}
				readThenOK(w, r)
			})
			p := startProxy(t, upstreams(b.URL), options)
			for text, want := range map[string]int{request: http.StatusOK, badTrailer: http.StatusBadRequest} {
				for _, first := range []bool{true, false} {
					begin := ""
					if !first {
						begin = plainGet
					}
					conn, r := p.raw(begin)
					if !first {
						if status := statusOf(r); status != http.StatusOK {
							t.Fatalf("before it: status %d", status)
						}
					}
					_, _ = io.WriteString(conn, text)
					res, err := http.ReadResponse(r, nil)
					if err != nil || res.StatusCode != want || !res.Close {
						t.Fatalf("%.70q, first %v: %v, %v", text, first, res, err)
					}
					_, _ = io.Copy(io.Discard, res.Body)
					if rest, _ := io.ReadAll(r); len(rest) > 0 {
						t.Errorf("%.70q, first %v: then came %q", text, first, rest)
					}
				}
			}
		})
	}
}
