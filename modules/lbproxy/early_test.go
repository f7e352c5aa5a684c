package lbproxy

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"testing"
	"time"
)

// The header of an early answer is the request's own: a handler that changes a value in place
// changes no other answer.
func TestEarlyAnswerSharesNoHeader(t *testing.T) {
	refuses := rawBackend(t, func(conn net.Conn, r *bufio.Reader) {
		readHead(t, r)
		_, _ = io.WriteString(conn, "HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
	})
	changing := `{"handler":"subroute","routes":[{"match":[{"path":["/changed"]}],"handle":[{"handler":"headers",` +
		`"response":{"deferred":true,"replace":{"Connection":[{"search":"close","replace":"changed"}]}}}]}]}`
	p := startProxy(t, upstreams(refuses), serverOptions{before: changing})
	for _, path := range []string{"/changed", "/"} {
		_, r := p.raw("POST " + path + " HTTP/1.1\r\nHost: a.test\r\nContent-Length: 100\r\n\r\n")
		res, err := http.ReadResponse(r, nil)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		if path == "/" && !res.Close {
			t.Errorf("Connection: %q", res.Header["Connection"])
		}
	}
}

// A route for errors may give a request to another backend whose body was not read yet. The body
// then takes its time.
func TestErrorRoutesHaveTheBody(t *testing.T) {
	fallback := startBackend(t, func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(w, r.Body) })
	for name, first := range map[string]string{"first request": "", "later request": "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n"} {
		t.Run(name, func(t *testing.T) {
			p := startProxy(t, upstreams(deadAddress(t)), serverOptions{
				server: `"errors":{"routes":[{"handle":[{"handler":"lb_proxy",` + upstreams(fallback.URL) + `}]}]}`,
			})
			conn, r := p.raw(first)
			if first != "" {
				res, err := http.ReadResponse(r, nil)
				if err != nil {
					t.Fatal(err)
				}
				_, _ = io.Copy(io.Discard, res.Body)
			}
			_, _ = io.WriteString(conn, "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 10\r\n\r\nhello")
			time.Sleep(lingerTime + 100*time.Millisecond) // what is tested is that this time does no harm
			_, _ = io.WriteString(conn, "world")
			res, err := http.ReadResponse(r, nil)
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(res.Body)
			if err != nil || res.StatusCode != http.StatusOK || string(body) != "helloworld" {
				t.Errorf("got %d %q, %v", res.StatusCode, body, err)
			}
		})
	}
}
