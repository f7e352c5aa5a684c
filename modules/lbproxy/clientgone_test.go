package lbproxy

import (
	"io"
	"net"
	"net/http"
	"testing"
)

// A client that has closed its direction has left. It gets nothing, and the log the status 499.
func TestHalfClosedClientGetsNothing(t *testing.T) {
	for name, apps := range map[string]string{"own": "", "net/http": `"lb_clients":{"engine":"net/http"}`} {
		for form, request := range map[string]string{
			"no body":   "GET /half HTTP/1.1\r\nHost: a\r\n\r\n",
			"body":      "POST /half HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody",
			"half body": "POST /half HTTP/1.1\r\nHost: a\r\nContent-Length: 8\r\n\r\nbody",
		} {
			t.Run(name+" "+form, func(t *testing.T) {
				b := startBackend(t, func(_ http.ResponseWriter, r *http.Request) {
					_, _ = io.Copy(io.Discard, r.Body)
					<-r.Context().Done()
				})
				p := startProxy(t, upstreams(b.URL), serverOptions{apps: apps})
				conn, in := p.raw(request)
				if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
					t.Fatal(err)
				}
				if got, err := io.ReadAll(in); len(got) > 0 || err != nil {
					t.Errorf("the client got %q, %v", got, err)
				}
				logLine(t, "/half", `"status":499`)
			})
		}
	}
}
