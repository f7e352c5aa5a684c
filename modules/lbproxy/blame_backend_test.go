package lbproxy

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

const plainGet = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"

// backendCases are ends that are the backend's doing, whoever carries the request.
func backendCases() (cases []blameCase) {
	silent := rawly(func(_ net.Conn, r *bufio.Reader) { _, _ = io.Copy(io.Discard, r) })
	closing := rawly(func(_ net.Conn, r *bufio.Reader) { _, _ = http.ReadRequest(r) })
	deaf := rawly(func(conn net.Conn, _ *bufio.Reader) {
		for open := true; open; time.Sleep(time.Millisecond) {
			_, err := conn.Write(nil)
			open = err == nil
		}
	})
	for name, handler := range map[string]string{"engine": "", "module": byModule} {
		cases = append(cases,
			blameCase{name: name + ", refused", cause: causeConnect, handler: handler, upstreams: of(deadAddress), send: sends(plainGet)},
			blameCase{name: name + ", silent", cause: causeTimeout, handler: handler, upstreams: silent, balance: `,"try_timeout":"50ms"`, send: sends(plainGet)},
			blameCase{
				name: name + ", silent after a body", cause: causeTimeout, handler: handler, upstreams: silent, balance: `,"try_timeout":"50ms"`,
				send: sends("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody"),
			},
			blameCase{name: name + ", closed", cause: causeBroken, handler: handler, upstreams: closing, send: sends(plainGet)},
			blameCase{name: name + ", no HTTP", cause: causeProtocol, handler: handler, upstreams: saying("SSH-2.0-x\r\n\r\n"), send: sends(plainGet)},
			blameCase{
				name: name + ", two lengths", cause: causeProtocol, handler: handler,
				upstreams: saying("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab"), send: sends(plainGet),
			},
			blameCase{
				name: name + ", within its answer", cause: causeBroken, handler: handler, once: true, status: 200,
				upstreams: saying("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc"), send: sends(plainGet),
			},
		)
	}
	return append(cases,
		blameCase{
			name: "more than it may say", cause: causeProtocol, handler: `"transport":{"protocol":"http","max_response_header_size":1000}`,
			upstreams: saying("HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 20_000) + "\r\n\r\n"), send: sends(plainGet),
		},
		blameCase{
			name: "takes nothing of a body", cause: causeTimeout, upstreams: deaf, balance: `,"try_timeout":"300ms"`, once: true,
			send: func(t *testing.T, p *proxy) int {
				conn, r := p.raw("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000000\r\n\r\n")
				defer conn.Close()
				go func() { _, _ = io.Copy(conn, endless{}) }()
				return statusOf(r)
			},
		},
		blameCase{
			name: "a malformed body", cause: causeProtocol, once: true, status: 200,
			upstreams: saying("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nx\r\n"), send: sends(plainGet),
		},
		blameCase{name: "HTTP/2, reset", cause: causeBroken, send: sends(plainGet), upstreams: func(t *testing.T) string {
			s := h2cServer(t, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
			return fmt.Sprintf(`"upstreams":[{"dial":%q,"scheme":"h2c"}]`, s.Listener.Addr())
		}},
	)
}

// endless is a body that does not end.
type endless struct{}

// Read implements io.Reader.
func (endless) Read(p []byte) (int, error) { return len(p), nil }
