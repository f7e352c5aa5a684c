package h1

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"strings"
	"sync"
	"testing"
	"time"
)

// peer is the server's end of a connection.
type peer struct {
	*net.TCPConn
	r *bufio.Reader
	n int // which connection of the server it is, from 0
}

// head reads the head of one request, without the empty line that ends it; "" when there is none any more.
func (p *peer) head() string {
	var b strings.Builder
	for {
		line, err := p.r.ReadString('\n')
		if err != nil {
			return ""
		}
		if line == "\r\n" {
			return b.String()
		}
		b.WriteString(line)
	}
}

// request reads one request whole: its head, its body and its trailers.
func (p *peer) request() (head, body, trailers string) {
	if head = p.head(); head != "" {
		body, trailers = p.bodyAndTrailers(head)
	}
	return head, body, trailers
}

// bodyAndTrailers reads the body of the request with the given head.
func (p *peer) bodyAndTrailers(head string) (body, trailers string) {
	r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(head + "\r\n")))
	if err != nil {
		return "", ""
	}
	if len(r.TransferEncoding) == 0 {
		b, _ := io.ReadAll(io.LimitReader(p.r, max(r.ContentLength, 0)))
		return string(b), ""
	}
	b, err := io.ReadAll(httputil.NewChunkedReader(p.r))
	if err != nil {
		return string(b), ""
	}
	return string(b), p.head()
}

// body is bodyAndTrailers without trailers.
func (p *peer) body(head string) string {
	body, _ := p.bodyAndTrailers(head)
	return body
}

func (p *peer) write(s string) { _, _ = io.WriteString(p.TCPConn, s) }

// reset ends the connection with RST.
func (p *peer) reset() {
	_ = p.SetLinger(0)
	_ = p.Close()
}

// ended waits until the client has closed the connection.
func (p *peer) ended() { _, _ = io.Copy(io.Discard, p.r) }

// serve runs a server on loopback that gives each connection to handle, and closes it afterwards.
func serve(t testing.TB, handle func(p *peer)) (address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	var mu sync.Mutex
	open := make(map[net.Conn]bool)
	wg.Go(func() {
		for n := 0; ; n++ {
			c, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			open[c] = true
			mu.Unlock()
			wg.Go(func() {
				defer c.Close()
				handle(&peer{TCPConn: c.(*net.TCPConn), r: bufio.NewReader(c), n: n})
			})
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		mu.Lock()
		for c := range open {
			_ = c.Close()
		}
		mu.Unlock()
		wg.Wait()
	})
	return l.Addr().String()
}

// testClient returns the connections to one server, of a client of its own. When the test ends, the client must have none left.
func testClient(t testing.TB, address string, options Options) *Host {
	t.Helper()
	if options.Dial == nil {
		var d net.Dialer
		options.Dial = func(ctx context.Context, key string) (net.Conn, error) { return d.DialContext(ctx, "tcp", key) }
	}
	c := NewClient(options)
	h := c.Host(address)
	h.lifetime.keeps.Store(true) // as if the server had been in use for a while
	t.Cleanup(func() {
		c.Close()
		eventually(t, "every connection is closed", func() bool { return h.openCount() == 0 })
	})
	return h
}

// get is a request for "/" with the given method.
func get(method string) *http.Request {
	r, err := http.NewRequest(method, "http://h.test/", http.NoBody)
	if err != nil {
		panic(err)
	}
	return r
}

// post is a request with a body, of a known length if known is set.
func post(body string, known bool) *http.Request {
	r, err := http.NewRequest(http.MethodPost, "http://h.test/", strings.NewReader(body))
	if err != nil {
		panic(err)
	}
	if !known {
		r.ContentLength = -1
	}
	return r
}

// result is what became of an exchange.
type result struct {
	status int
	body   string
	err    error // of the round trip, else of reading the body
	x      *Exchange
}

// do does an exchange to its end. One that hangs fails.
func do(h *Host, r *http.Request) result {
	ctx, cancel := context.WithTimeout(r.Context(), 20*time.Second)
	defer cancel()
	return doExchange(h, &Exchange{Request: r.WithContext(ctx)})
}

func doExchange(h *Host, x *Exchange) result {
	defer x.End()
	if err := h.RoundTrip(x); err != nil {
		return result{err: err, x: x}
	}
	b, err := io.ReadAll(x.Response.Body)
	return result{x.Response.StatusCode, string(b), err, x}
}

// within fails the test when f hangs.
func within(t testing.TB, f func()) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	select {
	case <-done:
	case <-time.After(20 * time.Second):
		t.Fatal("it hangs")
	}
}

// openCount is how many connections there are, idle ones included.
func (h *Host) openCount() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.open
}
