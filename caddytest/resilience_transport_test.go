package caddytest

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
)

// A request that came in before a reload is sent after it, although the pool or its transport are others by then.
func TestRequestOfReplacedTransportIsSent(t *testing.T) {
	const config = `{
	lb_pool p {
		backend {$A}
		transport http {
			dial_timeout 3s
		}
	}
}
http://127.0.0.1:{$PORT} {
	lb_proxy {
		pool p
		request_buffers 1MB
	}
}
`
	for name, edited := range map[string]string{
		"transport": strings.Replace(config, "3s", "4s", 1),
		"pool":      strings.NewReplacer("lb_pool p", "lb_pool q", "pool p", "pool q").Replace(config),
		"removed":   "http://127.0.0.1:{$PORT} {\n\trespond gone\n}\n",
	} {
		t.Run(name, func(t *testing.T) {
			b := NewBackends(t, "A")
			s := Start(t, config, addresses(b...))
			s.spread(s.URL("PORT", "/"), 2)
			conn, err := net.Dial("tcp", "127.0.0.1:"+s.vars["PORT"])
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			_, _ = io.WriteString(conn, "POST /slow HTTP/1.1\r\nHost: 127.0.0.1\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n")
			in := bufio.NewReader(conn)
			// The server asks for the body when the handler reads it, so the request is with the handler then.
			if line, err := in.ReadString('\n'); err != nil || !strings.Contains(line, "100 Continue") {
				t.Fatalf("%q, %v", line, err)
			}
			_, _ = in.ReadString('\n')
			s.mustReload(edited)
			_, _ = io.WriteString(conn, "body")
			resp, err := http.ReadResponse(in, nil)
			if err != nil {
				t.Fatal(err)
			}
			if resp.StatusCode != http.StatusOK || b[0].Hits() != 3 {
				t.Errorf("status %d, %d requests at the backend", resp.StatusCode, b[0].Hits())
			}
		})
	}
}
