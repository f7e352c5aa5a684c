package load

import (
	"bytes"
	"fmt"
	"net/http"

	"github.com/caddylb/caddy-lb/bench/internal/reactor"
	"github.com/caddylb/caddy-lb/bench/internal/wire"
)

// h1Client is a connection that has one request under way at a time.
type h1Client struct {
	d       *driver
	conn    *reactor.Conn // nil when there is none
	started int64
	busy    bool
	head    []byte // begun, not complete
	left    int64  // of the answer's body; only what a head announced is read
	last    bool   // the connection ends with the answer
	request []byte
}

func (c *h1Client) start(intended int64) {
	c.send(c.d.script.h1[c.d.script.next()], intended)
}

func (c *h1Client) send(request []byte, intended int64) {
	c.started, c.busy, c.request = intended, true, request
	if c.conn != nil {
		c.conn.Send(request)
		return
	}
	if err := dial(c.d, func(conn *reactor.Conn) reactor.Protocol { c.conn = conn; return c }); err != nil {
		c.conn = nil
		c.lose(err.Error())
	}
}

// dial opens a connection to the proxy.
func dial(d *driver, p func(*reactor.Conn) reactor.Protocol) error {
	_, err := reactor.Dial(d.loop, d.target, d.config, p)
	return err
}

// Opened implements reactor.Protocol.
func (c *h1Client) Opened() {
	if c.busy {
		c.conn.Send(c.request)
	}
}

// Data implements reactor.Protocol.
func (c *h1Client) Data(b []byte) {
	switch {
	case !c.busy:
		c.close() // the next request tries another connection
	case c.left > 0:
		c.body(b)
	default:
		if len(c.head) > 0 {
			b = append(c.head, b...)
			c.head = nil
		}
		c.answer(b)
	}
}

// answer reads the head of an answer, and what follows.
func (c *h1Client) answer(b []byte) {
	h, err := wire.ParseResponse(b)
	switch {
	case err != nil:
		c.lose(err.Error())
	case h.Size == 0:
		c.head = bytes.Clone(b)
	case h.Status != http.StatusOK:
		c.lose(fmt.Sprintf("status %d", h.Status))
	case h.Length != c.want():
		c.lose(fmt.Sprintf("Content-Length %d", h.Length))
	default:
		c.left, c.last = h.Length, h.Close || c.d.run.Close
		c.body(b[h.Size:])
	}
}

// want is the length that the answer has to have.
func (c *h1Client) want() int64 {
	if c.d.run.Idle {
		return holdAnswer
	}
	return int64(c.d.run.Answer)
}

func (c *h1Client) body(b []byte) {
	c.left -= int64(len(b))
	switch {
	case c.left < 0:
		c.lose("bytes after the answer")
	case c.left == 0:
		if c.last {
			c.close()
		}
		c.busy = false
		c.d.complete(c, c.started)
	}
}

// Closed implements reactor.Protocol.
func (c *h1Client) Closed(err error) {
	c.conn = nil
	if c.busy {
		c.lose("connection ended: " + err.Error())
	}
}

// lose gives the request under way up, and its connection.
func (c *h1Client) lose(reason string) {
	c.close()
	c.busy = false
	c.d.fail(c, reason)
}

func (c *h1Client) close() {
	c.left, c.head = 0, nil
	if c.conn != nil {
		c.conn.Close()
		c.conn = nil
	}
}
