package load

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"net"
	"strconv"

	"github.com/caddylb/caddy-lb/bench/internal/reactor"
	"github.com/caddylb/caddy-lb/bench/internal/wire"
)

// farm is all backends together. A path is /<bytes of the answer>/<bytes of the upload>/<anything>, or /hold/<n>, which is
// answered when n such requests wait.
type farm struct {
	loop     *reactor.Loop
	answers  map[int64][]byte
	accepted int64
	open     int64
	requests []int64 // of each backend
	held     []*backendConn
}

// listen opens the backends of a job.
func listen(l *reactor.Loop, b Backends) (*farm, []string, error) {
	var config *tls.Config
	if b.Cert != "" {
		pair, err := tls.LoadX509KeyPair(b.Cert, b.Key)
		if err != nil {
			return nil, nil, err
		}
		config = &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS13}
	}
	f := &farm{loop: l, answers: make(map[int64][]byte), requests: make([]int64, b.Count)}
	var addresses []string
	port := 0
	for i := range b.Count {
		at := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 0}
		if b.Spread {
			at = &net.TCPAddr{IP: net.IPv4(127, 0, byte(1+i/250), byte(1+i%250)), Port: port}
		}
		ln, err := reactor.Listen(l, at, config, func(c *reactor.Conn) reactor.Protocol {
			return &backendConn{farm: f, index: i, conn: c}
		})
		if err != nil {
			return nil, nil, fmt.Errorf("backend at %v: %w", at, err)
		}
		port = ln.Addr().Port
		addresses = append(addresses, ln.Addr().String())
	}
	return f, addresses, nil
}

// used counts the backends that had a request.
func (f *farm) used() int {
	n := 0
	for _, requests := range f.requests {
		if requests > 0 {
			n++
		}
	}
	return n
}

// answer is a whole answer with a body of some size, the same for all connections.
func (f *farm) answer(size int64) []byte {
	b, ok := f.answers[size]
	if !ok {
		b = fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nDate: Thu, 01 Jan 2026 00:00:00 GMT\r\n"+
			"Content-Type: application/octet-stream\r\nContent-Length: %d\r\n\r\n", size)
		b = append(b, bytes.Repeat([]byte("x"), int(size))...)
		f.answers[size] = b
	}
	return b
}

// hold keeps a request until n are there, so that each of them has a connection of its own.
func (f *farm) hold(c *backendConn, n int64) {
	f.held = append(f.held, c)
	if int64(len(f.held)) < n {
		return
	}
	held := f.held
	f.held = nil
	for _, c := range held {
		c.conn.Send(f.answer(holdAnswer))
	}
}

// holdAnswer is the size of the answer to a request that was held.
const holdAnswer = 100

// backendConn is the server's side of one connection.
type backendConn struct {
	farm      *farm
	index     int
	conn      *reactor.Conn
	head      []byte // begun, not complete
	left      int64  // of the request's body
	answer    []byte // to send after the body
	websocket bool
	opened    bool
}

// Opened implements reactor.Protocol.
func (c *backendConn) Opened() {
	c.opened = true
	c.farm.accepted++
	c.farm.open++
}

// Closed implements reactor.Protocol.
func (c *backendConn) Closed(error) {
	if c.opened {
		c.opened = false
		c.farm.open--
	}
}

func (c *backendConn) close() {
	c.conn.Close()
	c.Closed(nil)
}

// Data implements reactor.Protocol.
func (c *backendConn) Data(b []byte) {
	if c.websocket {
		c.echo(b)
		return
	}
	if c.left > 0 {
		c.body(b)
		return
	}
	if len(c.head) > 0 {
		b = append(c.head, b...)
		c.head = nil
	}
	h, err := wire.ParseRequest(b)
	switch {
	case err != nil:
		c.refuse(err.Error())
	case h.Size == 0:
		c.head = bytes.Clone(b)
	default:
		c.request(h, b[h.Size:])
	}
}

// request answers a request whose head is complete; rest is what followed.
func (c *backendConn) request(h wire.Head, rest []byte) {
	c.farm.requests[c.index]++
	if h.Upgraded {
		c.websocket = true
		c.conn.Send([]byte("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
			"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"))
		return
	}
	first, second, _ := bytes.Cut(bytes.TrimPrefix(h.Path, []byte("/")), []byte("/"))
	second, _, _ = bytes.Cut(second, []byte("/"))
	number, ok := wire.Decimal(second)
	if ok && string(first) == "hold" {
		c.farm.hold(c, number)
		return
	}
	size, ok2 := wire.Decimal(first)
	if !ok || !ok2 || h.Chunked || max(h.Length, 0) != number {
		c.refuse("not the request that was sent: " + strconv.Quote(string(h.Path)))
		return
	}
	c.answer = c.farm.answer(size)
	c.left = number
	c.body(rest)
}

// body counts down a request's body and answers at its end.
func (c *backendConn) body(b []byte) {
	c.left -= int64(len(b))
	switch {
	case c.left < 0:
		c.refuse("more than the request's body")
	case c.left == 0:
		c.conn.Send(c.answer)
	}
}

// refuse ends the connection after an answer that the client counts as an error.
func (c *backendConn) refuse(reason string) {
	c.conn.Send(fmt.Appendf(nil, "HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s", len(reason), reason))
	c.close()
}

// echo sends back the frames of a WebSocket.
func (c *backendConn) echo(b []byte) {
	if len(c.head) > 0 {
		b = append(c.head, b...)
		c.head = nil
	}
	for len(b) > 0 {
		payload, size, err := wire.ParseFrame(b)
		if err != nil {
			c.close()
			return
		}
		if size == 0 {
			c.head = bytes.Clone(b)
			return
		}
		c.conn.Send(wire.Frame(payload, false))
		b = b[size:]
	}
}
