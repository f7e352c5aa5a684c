package lbproxy

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// framedBackend reads requests from each connection and gives their heads to seen, or what is no request.
func framedBackend(t *testing.T, seen func(string)) string {
	return rawBackend(t, func(conn net.Conn, r *bufio.Reader) {
		for {
			if _, err := r.Peek(1); err != nil {
				return
			}
			var text strings.Builder
			req, err := http.ReadRequest(bufio.NewReader(io.TeeReader(byteByByte{r}, &text)))
			if err != nil {
				seen("no request: " + text.String())
				return
			}
			head, _, _ := strings.Cut(text.String(), "\r\n\r\n")
			body, err := io.ReadAll(req.Body)
			if err != nil {
				return // the proxy gave up within the body
			}
			seen(head)
			fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
		}
	})
}

// byteByByte keeps readers from taking more than they need.
type byteByByte struct{ r io.Reader }

func (b byteByByte) Read(p []byte) (int, error) { return b.r.Read(p[:min(len(p), 1)]) }

// h2Request sends one request of the given fields over HTTP/2, as they are, and returns the status that it is answered
// with; "" when its stream is reset or the connection ends.
func h2Request(t *testing.T, p *proxy, body string, fields ...[2]string) string {
	t.Helper()
	conn, r := p.raw(http2.ClientPreface)
	defer conn.Close()
	framer := http2.NewFramer(conn, r)
	if err := framer.WriteSettings(); err != nil {
		t.Fatal(err)
	}
	var block strings.Builder
	enc := hpack.NewEncoder(&block)
	for _, f := range fields {
		_ = enc.WriteField(hpack.HeaderField{Name: f[0], Value: f[1]})
	}
	// Neither has to succeed: the server may refuse the header at once.
	_ = framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: []byte(block.String()), EndHeaders: true, EndStream: body == ""})
	if body != "" {
		_ = framer.WriteData(1, true, []byte(body))
	}
	for {
		frame, err := framer.ReadFrame()
		if err != nil {
			return ""
		}
		switch f := frame.(type) {
		case *http2.HeadersFrame:
			answer, err := hpack.NewDecoder(4096, nil).DecodeFull(f.HeaderBlockFragment())
			if err != nil || len(answer) == 0 {
				t.Fatalf("the answer is %v, %v", answer, err)
			}
			return answer[0].Value
		case *http2.RSTStreamFrame, *http2.GoAwayFrame:
			return ""
		}
	}
}

// What HTTP/2 can carry and HTTP/1.1 cannot, or would take for framing, never reaches a backend as a second request or
// as another header field.
func TestSmugglingFromHTTP2(t *testing.T) {
	var mu sync.Mutex
	var heads []string
	p := startProxy(t, upstreams(framedBackend(t, func(head string) {
		mu.Lock()
		defer mu.Unlock()
		heads = append(heads, head)
	})), serverOptions{server: `"protocols":["h1","h2c"]`})
	get := func(path string, more ...[2]string) [][2]string {
		return append([][2]string{{":method", "GET"}, {":scheme", "http"}, {":authority", "x"}, {":path", path}}, more...)
	}
	post := func(more ...[2]string) [][2]string {
		return append([][2]string{{":method", "POST"}, {":scheme", "http"}, {":authority", "x"}, {":path", "/"}}, more...)
	}
	// A space may be escaped or refused. The first of two lengths may be answered before the data that contradict it come.
	either := map[string]bool{"space in the path": true, "two lengths": true}
	const inner = "GET /inner HTTP/1.1\r\nHost: x\r\n\r\n"
	for name, tc := range map[string]struct {
		fields  [][2]string
		body    string
		refused bool
	}{
		"transfer coding":           {post([2]string{"transfer-encoding", "chunked"}), "0\r\n\r\n" + inner, true},
		"length below the body":     {post([2]string{"content-length", "1"}), "x" + inner, true},
		"length above the body":     {post([2]string{"content-length", "99"}), "x", true},
		"two lengths":               {post([2]string{"content-length", "0"}, [2]string{"content-length", fmt.Sprint(len(inner))}), inner, true},
		"line break in a value":     {get("/", [2]string{"x-a", "b\r\nX-Inner: 1"}), "", true},
		"line feed in a value":      {get("/", [2]string{"x-a", "b\nX-Inner: 1"}), "", true},
		"NUL in a value":            {get("/", [2]string{"x-a", "b\x00c"}), "", true},
		"line break in a name":      {get("/", [2]string{"x-a: b\r\nx-inner", "1"}), "", true},
		"colon in a name":           {get("/", [2]string{"x-a:", "b"}), "", true},
		"upper case in a name":      {get("/", [2]string{"X-A", "b"}), "", true},
		"connection":                {get("/", [2]string{"connection", "x-a"}), "", true},
		"line break in the path":    {get("/ HTTP/1.1\r\nX-Inner: 1\r\n\r\n" + inner), "", true},
		"space in the path":         {get("/ HTTP/1.1"), "", false},
		"line break in the method":  {[][2]string{{":method", "GET / HTTP/1.1\r\nX-Inner: 1"}, {":scheme", "http"}, {":authority", "x"}, {":path", "/"}}, "", true},
		"line break in authority":   {[][2]string{{":method", "GET"}, {":scheme", "http"}, {":authority", "x\r\nX-Inner: 1"}, {":path", "/"}}, "", true},
		"a request as the body":     {post(), inner, false},
		"a body of the told length": {post([2]string{"content-length", fmt.Sprint(len(inner))}), inner, false},
	} {
		t.Run(name, func(t *testing.T) {
			status := h2Request(t, p, tc.body, tc.fields...)
			if good := status == "200"; good == tc.refused && !either[name] {
				t.Errorf("answered %q", status)
			}
		})
	}
	if r := p.get("/last"); r.status != 200 {
		t.Errorf("afterwards: %d", r.status)
	}
	mu.Lock()
	defer mu.Unlock()
	if len(heads) < 3 {
		t.Errorf("the backend got %d requests", len(heads))
	}
	for _, head := range heads {
		lower := strings.ToLower(head)
		if strings.Contains(lower, "inner") || strings.HasPrefix(head, "no request") || strings.Count(head, " HTTP/1.1") != 1 ||
			strings.Count(lower, "content-length")+strings.Count(lower, "transfer-encoding") > 1 {
			t.Errorf("the backend got %q", head)
		}
	}
}
