package load

import (
	"encoding/binary"
	"errors"
	"fmt"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/caddylb/caddy-lb/bench/internal/reactor"
)

const (
	frameHead = 9
	window    = 1 << 30
)

// h2Conn is an HTTP/2 connection with a fixed number of places for streams. It is opened by the first of them.
type h2Conn struct {
	d        *driver
	conn     *reactor.Conn // nil when there is none
	ready    bool
	places   []*h2Place
	nextID   uint32
	streams  map[uint32]*h2Place
	decoder  *hpack.Decoder
	part     []byte // of a frame that is not complete
	consumed uint32 // bytes of bodies since the connection's window was last opened
	status   string // of the header block that is decoded
	out      []byte
}

// h2Place is where one stream can be.
type h2Place struct {
	c       *h2Conn
	started int64
	busy    bool
	left    int64
	headed  bool
}

func newH2Conn(d *driver, streams int) []place {
	c := &h2Conn{d: d}
	places := make([]place, streams)
	for i := range places {
		p := &h2Place{c: c}
		c.places = append(c.places, p)
		places[i] = p
	}
	return places
}

func (p *h2Place) start(intended int64) {
	c := p.c
	p.started, p.busy = intended, true
	switch {
	case c.ready:
		c.request(p)
	case c.conn == nil:
		if err := dial(c.d, func(conn *reactor.Conn) reactor.Protocol { c.conn = conn; return c }); err != nil {
			c.Closed(err)
		}
	}
}

func (p *h2Place) close() {
	if p.c.conn != nil {
		p.c.conn.Close()
		p.c.conn, p.c.ready = nil, false
	}
}

// Opened implements reactor.Protocol.
func (c *h2Conn) Opened() {
	c.nextID, c.streams, c.part, c.consumed = 1, make(map[uint32]*h2Place), nil, 0
	c.decoder = hpack.NewDecoder(4096, func(f hpack.HeaderField) {
		if f.Name == ":status" {
			c.status = f.Value
		}
	})
	settings := frame([]byte(http2.ClientPreface), http2.FrameSettings, 0, 0, 12)
	settings = binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint16(settings, uint16(http2.SettingEnablePush)), 0)
	settings = binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint16(settings, uint16(http2.SettingInitialWindowSize)), window)
	c.conn.Send(binary.BigEndian.AppendUint32(frame(settings, http2.FrameWindowUpdate, 0, 0, 4), window))
	c.ready = true
	for _, p := range c.places {
		if p.busy {
			c.request(p)
		}
	}
}

// frame appends the head of a frame (RFC 9113, section 4.1).
func frame(b []byte, kind http2.FrameType, flags http2.Flags, stream uint32, length int) []byte {
	b = append(b, byte(length>>16), byte(length>>8), byte(length), byte(kind), byte(flags))
	return binary.BigEndian.AppendUint32(b, stream)
}

// request opens a stream. With TLS, bytes are encrypted at once, so that the buffer is free again.
// A body is one DATA frame. It has to fit the windows that every server opens with (RFC 9113,
// section 6.9.2), also with all streams of a connection at once.
func (c *h2Conn) request(p *h2Place) {
	block := c.d.script.h2[c.d.script.next()]
	id := c.nextID
	c.nextID += 2
	c.streams[id] = p
	p.left, p.headed = int64(c.d.run.Answer), false
	flags := http2.FlagHeadersEndHeaders
	up := c.d.script.h2up
	if len(up) == 0 {
		flags |= http2.FlagHeadersEndStream
	}
	c.out = frame(c.out[:0], http2.FrameHeaders, flags, id, len(block))
	c.out = append(c.out, block...)
	if len(up) > 0 {
		c.out = frame(c.out, http2.FrameData, http2.FlagDataEndStream, id, len(up))
		c.out = append(c.out, up...)
	}
	c.conn.Send(c.out)
}

// Data implements reactor.Protocol.
func (c *h2Conn) Data(b []byte) {
	if len(c.part) > 0 {
		b = append(c.part, b...)
		c.part = nil
	}
	for c.ready {
		if len(b) < frameHead {
			break
		}
		length := int(b[0])<<16 | int(b[1])<<8 | int(b[2])
		if len(b) < frameHead+length {
			break
		}
		kind, flags := http2.FrameType(b[3]), http2.Flags(b[4])
		id := binary.BigEndian.Uint32(b[5:]) &^ (1 << 31)
		if err := c.frame(kind, flags, id, b[frameHead:frameHead+length]); err != nil {
			c.conn.Close()
			c.Closed(err)
			return
		}
		b = b[frameHead+length:]
	}
	if len(b) > 0 {
		c.part = append([]byte(nil), b...)
	}
}

func (c *h2Conn) frame(kind http2.FrameType, flags http2.Flags, id uint32, payload []byte) error {
	switch kind {
	case http2.FrameSettings:
		if !flags.Has(http2.FlagSettingsAck) {
			c.conn.Send(frame(nil, http2.FrameSettings, http2.FlagSettingsAck, 0, 0))
		}
	case http2.FramePing:
		if !flags.Has(http2.FlagPingAck) {
			c.conn.Send(append(frame(nil, http2.FramePing, http2.FlagPingAck, 0, len(payload)), payload...))
		}
	case http2.FrameHeaders:
		return c.headers(flags, id, payload)
	case http2.FrameData:
		return c.data(flags, id, payload)
	case http2.FrameRSTStream:
		if p := c.streams[id]; p != nil {
			delete(c.streams, id)
			p.done("stream reset")
		}
	case http2.FrameGoAway:
		return errors.New("GOAWAY")
	}
	return nil
}

func (c *h2Conn) headers(flags http2.Flags, id uint32, block []byte) error {
	const unexpected = http2.FlagHeadersPadded | http2.FlagHeadersPriority
	if !flags.Has(http2.FlagHeadersEndHeaders) || flags&unexpected != 0 {
		return errors.New("HEADERS in a form that the benchmark does not read")
	}
	c.status = ""
	if _, err := c.decoder.Write(block); err != nil {
		return err
	}
	if err := c.decoder.Close(); err != nil {
		return err
	}
	p := c.streams[id]
	if p == nil {
		return fmt.Errorf("HEADERS on stream %d, which has no request", id)
	}
	if !p.headed && c.status != "200" {
		delete(c.streams, id)
		p.done("status " + c.status)
		return nil
	}
	p.headed = true
	c.ended(flags.Has(http2.FlagHeadersEndStream), id, p)
	return nil
}

func (c *h2Conn) data(flags http2.Flags, id uint32, body []byte) error {
	if c.consumed += uint32(len(body)); c.consumed > window/2 {
		c.conn.Send(binary.BigEndian.AppendUint32(frame(nil, http2.FrameWindowUpdate, 0, 0, 4), c.consumed))
		c.consumed = 0
	}
	p := c.streams[id]
	if p == nil {
		return nil // of a stream whose answer was refused
	}
	if flags.Has(http2.FlagDataPadded) {
		return errors.New("DATA in a form that the benchmark does not read")
	}
	p.left -= int64(len(body))
	c.ended(flags.Has(http2.FlagDataEndStream), id, p)
	return nil
}

// ended checks the length of an answer that is complete.
func (c *h2Conn) ended(end bool, id uint32, p *h2Place) {
	switch {
	case !end:
	case p.left != 0:
		delete(c.streams, id)
		p.done(fmt.Sprintf("%d bytes missing", p.left))
	default:
		delete(c.streams, id)
		p.done("")
	}
}

// done frees a place; an empty reason is success.
func (p *h2Place) done(reason string) {
	p.busy = false
	if reason == "" {
		p.c.d.complete(p, p.started)
		return
	}
	p.c.d.fail(p, reason)
}

// Closed implements reactor.Protocol.
func (c *h2Conn) Closed(err error) {
	c.conn, c.ready = nil, false
	// Those that fail begin again on another connection: which they are has to be known before.
	var lost []*h2Place
	for _, p := range c.places {
		if p.busy {
			lost = append(lost, p)
		}
	}
	for _, p := range lost {
		p.done("connection ended: " + err.Error())
	}
}
