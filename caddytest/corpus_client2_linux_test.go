package caddytest

import (
	"bytes"
	"errors"
	"net"
	"os"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/caddylb/caddy-lb/caddytest/internal/corpus"
	"github.com/caddylb/caddy-lb/caddytest/internal/judge"
	"github.com/caddylb/caddy-lb/caddytest/internal/strict"
)

// frameClient is a connection of HTTP/2 on which anything may be sent.
type frameClient struct {
	net.Conn
	framer   *http2.Framer
	exchange judge.Exchange2
	blocks   *hpack.Decoder
	current  *judge.Answer2 // whose header is decoded
	gone     bool
}

func dialFrames(t testing.TB, port, backend string) *frameClient {
	raw := dialAs(t, port, backend)
	c := &frameClient{Conn: raw.Conn, exchange: judge.Exchange2{
		Client: raw.exchange.Client, Nobody: backend, Answers: make(map[uint32]*judge.Answer2),
	}}
	c.framer = http2.NewFramer(nil, c)
	c.blocks = hpack.NewDecoder(4096, func(f hpack.HeaderField) {
		c.current.Fields = append(c.current.Fields, strict.Field{Name: f.Name, Value: f.Value})
	})
	settings := corpus.AppendFrame([]byte(strict.ClientPreface), 0x4, 0, 0, "")
	c.send(corpus.AppendFrame(settings, 0x4, 0x1, 0, ""))
	return c
}

func (c *frameClient) send(pieces ...[]byte) {
	for _, p := range pieces {
		c.exchange.Sent = append(c.exchange.Sent, p...)
		_, _ = c.Conn.Write(p)
	}
}

// await reads until the answer on a stream has ended. It reports false when the connection ends
// before.
func (c *frameClient) await(stream uint32) bool {
	for {
		if a := c.exchange.Answers[stream]; a != nil && (a.Ended || a.Reset) {
			return true
		}
		if c.read() != nil {
			return false
		}
	}
}

// read reads a frame.
func (c *frameClient) read() error {
	frame, err := c.framer.ReadFrame()
	if err != nil {
		c.gone = c.gone || !errors.Is(err, os.ErrDeadlineExceeded)
		return err
	}
	if g, ok := frame.(*http2.GoAwayFrame); ok {
		c.gone = c.gone || g.ErrCode != http2.ErrCodeNo
		return nil
	}
	id := frame.Header().StreamID
	if id == 0 {
		return nil
	}
	a := c.exchange.Answers[id]
	if a == nil {
		a = new(judge.Answer2)
		c.exchange.Answers[id] = a
	}
	switch f := frame.(type) {
	case *http2.HeadersFrame:
		c.current = a
		if _, err := c.blocks.Write(f.HeaderBlockFragment()); err != nil {
			return err
		}
		a.Ended = f.StreamEnded()
	case *http2.ContinuationFrame:
		if _, err := c.blocks.Write(f.HeaderBlockFragment()); err != nil {
			return err
		}
	case *http2.DataFrame:
		a.Body = append(a.Body, f.Data()...)
		a.Ended = f.StreamEnded()
	case *http2.RSTStreamFrame:
		a.Reset = true
	}
	return nil
}

// finish reads until all that has an answer has it. A stream that is no request may be left
// without, and gets some time.
func (c *frameClient) finish(stream, after uint32) *judge.Exchange2 {
	defer c.Close()
	requests, _ := c.exchange.Read()
	for id := range requests {
		c.await(id)
	}
	if c.await(after) && requests[stream] == nil {
		_ = c.SetReadDeadline(time.Now().Add(stall))
		c.await(stream)
	}
	c.exchange.Lost = c.gone
	return &c.exchange
}

// chop cuts bytes into pieces of the lengths 1, 2, 3, …
func chop(p []byte) [][]byte {
	var pieces [][]byte
	for n := 1; len(p) > n; n++ {
		pieces, p = append(pieces, bytes.Clone(p[:n])), p[n:]
	}
	return append(pieces, p)
}
