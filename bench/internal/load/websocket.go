package load

import (
	"bytes"
	"fmt"
	"net/http"

	"github.com/caddylb/caddy-lb/bench/internal/reactor"
	"github.com/caddylb/caddy-lb/bench/internal/wire"
)

// upgrade asks for a WebSocket, with the key that RFC 6455 has as an example.
const upgrade = "GET /websocket HTTP/1.1\r\nHost: " + serverName + "\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
	"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"

// wsClient is a WebSocket on which a message is sent when the last one came back.
type wsClient struct {
	d        *driver
	conn     *reactor.Conn // nil when there is none
	upgraded bool
	started  int64
	busy     bool
	part     []byte // of a head or a frame that is not complete
	payload  []byte
	frame    []byte
}

func (c *wsClient) start(intended int64) {
	c.started, c.busy = intended, true
	if c.frame == nil {
		c.payload = bytes.Repeat([]byte("w"), c.d.run.Answer)
		c.frame = wire.Frame(c.payload, true)
	}
	if c.conn != nil {
		c.conn.Send(c.frame)
		return
	}
	if err := dial(c.d, func(conn *reactor.Conn) reactor.Protocol { c.conn = conn; return c }); err != nil {
		c.conn = nil
		c.lose(err.Error())
	}
}

// Opened implements reactor.Protocol.
func (c *wsClient) Opened() { c.conn.Send([]byte(upgrade)) }

// Data implements reactor.Protocol.
func (c *wsClient) Data(b []byte) {
	if len(c.part) > 0 {
		b = append(c.part, b...)
		c.part = nil
	}
	if c.upgraded {
		c.message(b)
		return
	}
	h, err := wire.ParseResponse(b)
	switch {
	case err != nil:
		c.lose(err.Error())
	case h.Size == 0:
		c.part = bytes.Clone(b)
	case h.Status != http.StatusSwitchingProtocols || h.Size != len(b):
		c.lose(fmt.Sprintf("status %d for a WebSocket", h.Status))
	default:
		c.upgraded = true
		c.conn.Send(c.frame)
	}
}

// message compares what came back with what was sent.
func (c *wsClient) message(b []byte) {
	payload, size, err := wire.ParseFrame(b)
	switch {
	case err != nil:
		c.lose(err.Error())
	case size == 0:
		c.part = bytes.Clone(b)
	case size != len(b) || !bytes.Equal(payload, c.payload) || !c.busy:
		c.lose("another message than the one sent")
	default:
		c.busy = false
		c.d.complete(c, c.started)
	}
}

// Closed implements reactor.Protocol.
func (c *wsClient) Closed(err error) {
	c.conn, c.upgraded = nil, false
	if c.busy {
		c.lose("connection ended: " + err.Error())
	}
}

func (c *wsClient) lose(reason string) {
	c.close()
	if c.busy {
		c.busy = false
		c.d.fail(c, reason)
	}
}

func (c *wsClient) close() {
	c.part, c.upgraded = nil, false
	if c.conn != nil {
		c.conn.Close()
		c.conn = nil
	}
}
