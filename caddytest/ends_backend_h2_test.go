package caddytest

import (
	"bytes"
	"io"
	"net"
	"strconv"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// endsStreams are the streams of one connection over HTTP/2.
type endsStreams struct {
	b       *endsBackend
	out     *http2.Framer
	streams map[uint32]*endsStream
}

// endsStream is one request over HTTP/2.
type endsStream struct {
	cell     *endsCell
	answered bool // nothing more comes from here
	ended    bool // nothing more comes from the proxy
}

// serveEndsHTTP2 serves a connection over HTTP/2.
func serveEndsHTTP2(b *endsBackend, conn net.Conn) {
	preface := make([]byte, len(http2.ClientPreface))
	if _, err := io.ReadFull(conn, preface); err != nil || string(preface) != http2.ClientPreface {
		return
	}
	fr := http2.NewFramer(conn, conn)
	fr.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	c := &endsStreams{b: b, out: fr, streams: make(map[uint32]*endsStream)}
	_ = fr.WriteSettings(http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: 1000})
	for {
		frame, err := fr.ReadFrame()
		if err != nil {
			for _, s := range c.streams {
				b.done(s.cell)
			}
			return
		}
		c.take(frame)
	}
}

func (c *endsStreams) take(frame http2.Frame) {
	id := frame.Header().StreamID
	switch f := frame.(type) {
	case *http2.SettingsFrame:
		if !f.IsAck() {
			_ = c.out.WriteSettingsAck()
		}
	case *http2.PingFrame:
		if !f.IsAck() {
			_ = c.out.WritePing(true, f.Data)
		}
	case *http2.MetaHeadersFrame:
		s := c.streams[id]
		if s == nil {
			s = &endsStream{cell: c.b.meet(f.PseudoValue("path"))}
			c.streams[id] = s
			c.reach(id, s, onHead)
		}
		c.mayEnd(id, s, f.StreamEnded())
	case *http2.DataFrame:
		if n := f.Header().Length; n > 0 {
			_ = c.out.WriteWindowUpdate(0, n)
		}
		if s := c.streams[id]; s != nil {
			if len(f.Data()) > 0 {
				c.reach(id, s, onFirst)
			}
			c.mayEnd(id, s, f.StreamEnded())
		}
	case *http2.RSTStreamFrame:
		if s := c.streams[id]; s != nil {
			c.forget(id, s)
		}
	}
}

// mayEnd takes note of the end of a request, if it has come.
func (c *endsStreams) mayEnd(id uint32, s *endsStream, ended bool) {
	if !ended || c.streams[id] == nil {
		return
	}
	s.ended = true
	c.reach(id, s, onEnd)
	if s.answered && c.streams[id] != nil {
		c.forget(id, s)
	}
}

func (c *endsStreams) forget(id uint32, s *endsStream) {
	delete(c.streams, id)
	c.b.done(s.cell)
}

// reach gives the answer, if it is for this moment.
func (c *endsStreams) reach(id uint32, s *endsStream, moment endsMoment) {
	a := s.cell.answer
	if s.answered || a.moment != moment || a.status == 0 && a.cut == noCut {
		return
	}
	s.answered = true
	c.answer(id, a)
	switch a.cut {
	case resetNormal:
		_ = c.out.WriteRSTStream(id, http2.ErrCodeNo)
		c.forget(id, s)
	case resetError:
		_ = c.out.WriteRSTStream(id, http2.ErrCodeInternal)
		c.forget(id, s)
	}
}

// answer writes what there is of an answer.
func (c *endsStreams) answer(id uint32, a endsAnswer) {
	if a.status == 0 {
		return
	}
	fields := []hpack.HeaderField{{Name: ":status", Value: strconv.Itoa(a.status)}}
	if a.length >= 0 && a.body != "" {
		fields = append(fields, hpack.HeaderField{Name: "content-length", Value: strconv.Itoa(a.length)})
	}
	if a.trailer {
		fields = append(fields, hpack.HeaderField{Name: "trailer", Value: "X-End"})
	}
	c.writeFields(id, fields, a.body == "")
	if a.body == "" {
		return
	}
	_ = c.out.WriteData(id, !a.trailer && !a.short, []byte(a.body))
	if a.trailer && !a.short {
		c.writeFields(id, []hpack.HeaderField{{Name: "x-end", Value: "1"}}, true)
	}
}

func (c *endsStreams) writeFields(id uint32, fields []hpack.HeaderField, end bool) {
	_ = c.out.WriteHeaders(http2.HeadersFrameParam{
		StreamID: id, BlockFragment: encodeFields(fields), EndHeaders: true, EndStream: end,
	})
}

// encodeFields writes fields without the dynamic table, so that each block stands alone.
func encodeFields(fields []hpack.HeaderField) []byte {
	var block bytes.Buffer
	enc := hpack.NewEncoder(&block)
	enc.SetMaxDynamicTableSizeLimit(0)
	for _, f := range fields {
		_ = enc.WriteField(f)
	}
	return block.Bytes()
}
