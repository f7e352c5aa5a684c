package caddytest

import (
	"bytes"
	"errors"
	"io"
	"net"
	"strings"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/caddylb/caddy-lb/caddytest/internal/judge"
	"github.com/caddylb/caddy-lb/caddytest/internal/strict"
)

// newRecorder2 starts a recorder that speaks HTTP/2 without TLS.
func newRecorder2(t testing.TB) *recorder {
	r := &recorder{messages: make(map[string][]*strict.Request)}
	r.addr = listen(t, &r.conns, r.serve2)
	return r
}

// h2Conn is a connection of a recorder, of which all that comes is kept.
type h2Conn struct {
	net.Conn
	read    *strict.Frames
	framer  *http2.Framer
	encoder *hpack.Encoder
	block   bytes.Buffer
}

// watching gives a strict reader all that another one reads. Its errors count when the connection
// is over.
type watching struct{ *strict.Frames }

// Write implements io.Writer.
func (w watching) Write(p []byte) (int, error) {
	_, _ = w.Frames.Write(p)
	return len(p), nil
}

// serve2 answers whatever ends a stream, and reads the connection strictly when it is over.
func (r *recorder) serve2(conn net.Conn) {
	c := &h2Conn{Conn: conn, read: strict.Reader{}.Frames()}
	in := io.TeeReader(conn, watching{c.read})
	if _, err := io.ReadFull(in, make([]byte, len(strict.ClientPreface))); err != nil {
		return
	}
	c.framer = http2.NewFramer(conn, in)
	c.encoder = hpack.NewEncoder(&c.block)
	_ = c.framer.WriteSettings(http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: 100})
	for {
		frame, err := c.framer.ReadFrame()
		if err != nil {
			break
		}
		if err := r.frame2(c, frame); err != nil {
			break
		}
	}
	r.judge2(c.read)
}

// frame2 answers a frame.
func (r *recorder) frame2(c *h2Conn, frame http2.Frame) error {
	switch f := frame.(type) {
	case *http2.SettingsFrame:
		if !f.IsAck() {
			return c.framer.WriteSettingsAck()
		}
	case *http2.PingFrame:
		if !f.IsAck() {
			return c.framer.WritePing(true, f.Data)
		}
	case *http2.HeadersFrame:
		if f.StreamEnded() {
			return r.answer2(c, f.StreamID)
		}
	case *http2.DataFrame:
		if n := len(f.Data()); n > 0 {
			_ = c.framer.WriteWindowUpdate(0, uint32(n))
		}
		if f.StreamEnded() {
			return r.answer2(c, f.StreamID)
		}
	}
	return nil
}

// answer2 answers the request of a stream that has ended, by what a strict reader says of all that
// came so far.
func (r *recorder) answer2(c *h2Conn, id uint32) error {
	status, whose, line := "400", "nobody", "no message"
	if st := c.read.Stream(id); st != nil {
		if m, err := (strict.Reader{Allowed: judge.ToBackends}).Request2(st); err == nil {
			status, whose, line = "200", clientOf(m), judge.Line(m)
		}
	}
	c.block.Reset()
	for _, f := range [][2]string{{":status", status}, {judge.ForField, whose}, {judge.LineField, line}} {
		_ = c.encoder.WriteField(hpack.HeaderField{Name: strings.ToLower(f[0]), Value: f[1]})
	}
	if err := c.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: c.block.Bytes(), EndHeaders: true}); err != nil {
		return err
	}
	return c.framer.WriteData(id, true, []byte(line))
}

// judge2 records the messages of a connection that is over, and what is none.
func (r *recorder) judge2(read *strict.Frames) {
	streams, err := read.All()
	if err != nil && !errors.Is(err, strict.ErrIncomplete) {
		r.blame("%v", err)
	}
	for _, st := range streams {
		m, err := strict.Reader{Allowed: judge.ToBackends}.Request2(st)
		switch {
		case err == nil:
			r.record(m)
		case !errors.Is(err, strict.ErrIncomplete):
			r.blame("%v in %.500q", err, st.Header)
		}
	}
}
