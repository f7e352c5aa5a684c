package caddytest

import (
	"errors"
	"io"
	"net"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddylb/caddy-lb/caddytest/internal/judge"
	"github.com/caddylb/caddy-lb/caddytest/internal/strict"
)

// The well-formed neighbours of a case.
const (
	neighbourBefore = "GET /before HTTP/1.1\r\nHost: a.test\r\n\r\n"
	neighbourAfter  = "GET /after HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n"
)

// corpusClients counts clients. Linux has all of 127.0.0.0/8 on loopback, so each gets an address
// of its own, by which the proxy names it to the backends.
var corpusClients atomic.Uint32

// rawClient is a connection of which all bytes are kept.
type rawClient struct {
	net.Conn
	exchange judge.Exchange
}

func dialAs(t testing.TB, port, backend string) *rawClient {
	t.Helper()
	n := corpusClients.Add(1)
	client := net.IPv4(127, 16+byte(n>>16), byte(n>>8), byte(n))
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: client}}
	conn, err := d.Dial("tcp", "127.0.0.1:"+port)
	if err != nil {
		t.Fatal(err)
	}
	_ = conn.SetDeadline(time.Now().Add(3 * patience()))
	return &rawClient{Conn: conn, exchange: judge.Exchange{Client: client.String(), Nobody: backend}}
}

// send writes pieces, each in a write of its own. The proxy may have refused what came before.
func (c *rawClient) send(pieces ...string) {
	for _, p := range pieces {
		c.exchange.Sent = append(c.exchange.Sent, p...)
		_, _ = io.WriteString(c.Conn, p)
	}
}

// await reads until there are n final answers, or the connection ends. It reports whether they
// came.
func (c *rawClient) await(n int) bool {
	for c.answers() < n {
		if c.more() != nil {
			return false
		}
	}
	return true
}

func (c *rawClient) more() error {
	var piece [16 << 10]byte
	n, err := c.Read(piece[:])
	c.exchange.Got = append(c.exchange.Got, piece[:n]...)
	return err
}

// answers counts the final answers that are there to their end.
func (c *rawClient) answers() int {
	requests, _ := c.exchange.Read()
	n, rest := 0, c.exchange.Got
	for {
		to := strict.Asked{Method: "GET", Minor: 1}
		if n < len(requests) {
			to.Method = requests[n].Method
		}
		a, used, err := strict.Reader{Allowed: strict.AnyStatus}.Answer(rest, to)
		if err != nil {
			return n
		}
		if rest = rest[used:]; a.Status >= 200 || a.Status == 101 {
			n++
		}
	}
}

// stall is how long the proxy may think about what is no message before the client gives up and
// closes its side. Nothing is judged by it.
const stall = 150 * time.Millisecond

// finish reads until the proxy closes the connection. When what was sent ends within a message, the
// client closes its side as soon as it has the answers to what is clear.
func (c *rawClient) finish() *judge.Exchange {
	defer c.Close()
	requests, err := c.exchange.Read()
	if err == nil {
		c.drain()
		return &c.exchange
	}
	if c.await(len(requests)) && !errors.Is(err, strict.ErrIncomplete) {
		_ = c.SetReadDeadline(time.Now().Add(stall))
		for err = nil; err == nil; {
			err = c.more()
		}
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			return &c.exchange
		}
	}
	_ = c.Conn.(*net.TCPConn).CloseWrite()
	_ = c.SetReadDeadline(time.Now().Add(3 * patience()))
	c.drain()
	return &c.exchange
}

// drain reads to the end of the connection.
func (c *rawClient) drain() {
	var err error
	for err == nil {
		err = c.more()
	}
	c.exchange.Hung = errors.Is(err, os.ErrDeadlineExceeded)
}

// splitUp cuts a message where a reader may stop to think, or into its octets.
func splitUp(raw string, octets bool) []string {
	var pieces []string
	from := 0
	for i := range len(raw) {
		cut := octets && len(raw) < 400
		switch raw[i] {
		case '\r', '\n', ':', ',', ';', ' ', 0:
			cut = true
		}
		if cut && len(pieces) < 400 {
			pieces, from = append(pieces, raw[from:i+1]), i+1
		}
	}
	if from < len(raw) {
		pieces = append(pieces, raw[from:])
	}
	return pieces
}
