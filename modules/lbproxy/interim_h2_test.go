package lbproxy

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// h2Conn is a client's connection in HTTP/2, spoken frame by frame.
type h2Conn struct {
	*http2.Framer
	net.Conn
	block bytes.Buffer
	enc   *hpack.Encoder
}

func (p *proxy) h2(t *testing.T) *h2Conn {
	t.Helper()
	conn, r := p.raw(http2.ClientPreface)
	c := &h2Conn{Framer: http2.NewFramer(conn, r), Conn: conn}
	c.enc = hpack.NewEncoder(&c.block)
	c.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	if err := c.WriteSettings(); err != nil {
		t.Fatal(err)
	}
	return c
}

// request sends the header of a request, with fields in turns of name and value.
func (c *h2Conn) request(stream uint32, method string, end bool, fields ...string) error {
	return c.headers(stream, end, append([]string{":method", method, ":scheme", "http", ":authority", "x", ":path", "/"}, fields...)...)
}

// connect sends the header of a CONNECT without a protocol.
func (c *h2Conn) connect(stream uint32) error {
	return c.headers(stream, false, ":method", http.MethodConnect, ":authority", "a:80")
}

func (c *h2Conn) headers(stream uint32, end bool, fields ...string) error {
	c.block.Reset()
	for i := 0; i < len(fields); i += 2 {
		_ = c.enc.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]})
	}
	return c.WriteHeaders(http2.HeadersFrameParam{
		StreamID: stream, BlockFragment: c.block.Bytes(), EndHeaders: true, EndStream: end,
	})
}

// head reads frames up to the next header of an answer.
func (c *h2Conn) head() (*http2.MetaHeadersFrame, error) {
	for {
		f, err := c.ReadFrame()
		if err != nil {
			return nil, err
		}
		switch f := f.(type) {
		case *http2.MetaHeadersFrame:
			return f, nil
		case *http2.RSTStreamFrame:
			return nil, fmt.Errorf("stream reset: %v", f.ErrCode)
		}
	}
}

// hintsOver is a backend that answers with so many hints of many fields, and then with an empty
// 200.
func hintsOver(t *testing.T, n int) string {
	var many strings.Builder
	many.WriteString("HTTP/1.1 103 Early Hints\r\n")
	for i := range 30 {
		fmt.Fprintf(&many, "X-Hint-%d: %s\r\n", i, strings.Repeat("v", 40))
	}
	many.WriteString("\r\n")
	answer := strings.Repeat(many.String(), n) + finalOK
	return rawBackend(t, func(conn net.Conn, r *bufio.Reader) {
		for {
			if _, err := http.ReadRequest(r); err != nil {
				return
			}
			if _, err := io.WriteString(conn, answer); err != nil {
				return
			}
		}
	})
}

var overH2C = serverOptions{
	before: `{"handler":"headers","response":{"set":{"X-Own":["1"]},"deferred":true}}`,
	server: `"protocols":["h1","h2c"]`,
}

func TestInterimAnswersToHTTP2(t *testing.T) {
	p := startProxy(t, upstreams(hintsOver(t, 2)), overH2C)
	c := p.h2(t)
	if err := c.request(1, http.MethodGet, true); err != nil {
		t.Fatal(err)
	}
	for _, status := range []string{"103", "103", "200"} {
		f, err := c.head()
		if err != nil {
			t.Fatal(err)
		}
		fields := make(map[string]int)
		for _, field := range f.RegularFields() {
			fields[field.Name]++
		}
		if got := f.PseudoValue("status"); got != status || fields["x-own"] != 1 || (fields["x-hint-7"] == 1) != (status == "103") {
			t.Errorf("got %s with %v, want %s", got, fields, status)
		}
	}
}

// A client that resets its streams while interim answers come must not have one goroutine change a
// header that another one sends. The race detector finds that.
func TestStreamsAreResetAmongInterimAnswers(t *testing.T) {
	p := startProxy(t, upstreams(hintsOver(t, 8)), overH2C)
	const clients = 2
	begun := time.Now()
	var wg sync.WaitGroup
	for range clients {
		c := p.h2(t)
		wg.Go(func() {
			for stream := uint32(1); time.Since(begun) < 2*time.Second; stream += 2 {
				if err := c.request(stream, http.MethodGet, true); err != nil {
					t.Error(err)
					return
				}
				// The stream is open at least once a header of it is there.
				for {
					f, err := c.head()
					if err != nil {
						t.Error(err)
						return
					}
					if f.StreamID == stream {
						break
					}
				}
				if err := c.WriteRSTStream(stream, http2.ErrCodeCancel); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	if r := p.get("/"); r.status != http.StatusOK {
		t.Errorf("afterwards: status %d", r.status)
	}
}

// A connection that breaks among interim answers ends its streams in the other order.
func TestConnectionsBreakAmongInterimAnswers(t *testing.T) {
	p := startProxy(t, upstreams(hintsOver(t, 8)), overH2C)
	for begun := time.Now(); time.Since(begun) < time.Second; {
		c := p.h2(t)
		for stream := uint32(1); stream < 9; stream += 2 {
			if err := c.request(stream, http.MethodGet, true); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := c.head(); err != nil {
			t.Fatal(err)
		}
		_ = c.Close()
	}
	if r := p.get("/"); r.status != http.StatusOK {
		t.Errorf("afterwards: status %d", r.status)
	}
}

// HTTP/2 cannot switch protocols, and nothing may come of a backend that says so.
func TestInterimSwitchOfProtocols(t *testing.T) {
	s := h2cServer(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Hint", "1")
		w.WriteHeader(http.StatusEarlyHints)
		if r.URL.Path == "/switch" {
			w.WriteHeader(http.StatusSwitchingProtocols)
		}
		w.Header().Del("X-Hint")
	})
	p := startProxy(t, fmt.Sprintf(`"upstreams":[{"dial":%q,"scheme":"h2c"}]`, s.Listener.Addr()))
	for path, status := range map[string]string{"/": "200", "/switch": "502"} {
		conn, r := p.raw("GET " + path + " HTTP/1.1\r\nHost: x\r\n\r\n")
		if head := readHead(t, r); !strings.HasPrefix(head, "HTTP/1.1 103 ") {
			t.Errorf("%s: got %q", path, head)
		}
		if head := readHead(t, r); !strings.HasPrefix(head, "HTTP/1.1 "+status) || strings.Contains(head, "X-Hint") {
			t.Errorf("%s: got %q, want %s", path, head, status)
		}
		conn.Close()
	}
}
