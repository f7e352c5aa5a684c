package h1

import (
	"bytes"
	"io"

	"github.com/caddylb/caddy-lb/internal/syntax"
)

// answerBody reads an answer's body off its connection.
type answerBody struct {
	x      *Exchange
	left   int64 // of a body with a length
	chunks syntax.Chunks
	err    error // how it ended; nil until then
}

// Read implements io.Reader. The end of the body comes with its last bytes where that is known.
func (b *answerBody) Read(p []byte) (int, error) {
	if b.err != nil {
		return 0, b.err
	}
	if len(p) == 0 {
		return 0, nil
	}
	var n int
	var err error
	switch {
	case b.x.framing.chunked:
		n, err = b.readChunked(p)
	case b.x.framing.length >= 0:
		n, err = b.readLength(p)
	default:
		n, err = b.x.conn.read(p)
	}
	if err == nil {
		return n, nil
	}
	if err == io.EOF {
		b.err = io.EOF
	} else {
		b.err = &Error{Phase: Receiving, Reused: b.x.conn.reused, Err: b.x.explain(err)}
	}
	b.finish()
	return n, b.err
}

// finish ends the reading: the connection is free for another exchange, or broken.
func (b *answerBody) finish() {
	c := b.x.conn
	if b.err != io.EOF || !b.x.framing.close && !c.drained() {
		// Whatever follows the answer was not asked for.
		b.x.framing.close = true
	}
	c.releaseMemory()
	if b.err == io.EOF {
		b.x.answered.Store(true)
		c.answered(b.x)
	} else {
		c.abort(b.x, nil)
	}
}

// Close implements io.Closer. It may be called while another goroutine reads, which then fails. Behind the body's end it takes no
// connection from a writer that has still to give it back.
func (b *answerBody) Close() error {
	b.x.End()
	return nil
}

// read reads what is there already, else from the connection.
func (c *conn) read(p []byte) (int, error) {
	if c.len() > 0 {
		n := copy(p, c.bytes())
		c.skip(n)
		return n, nil
	}
	return c.Conn.Read(p)
}

func (b *answerBody) readLength(p []byte) (int, error) {
	if int64(len(p)) > b.left {
		p = p[:b.left]
	}
	n, err := b.x.conn.read(p)
	if b.left -= int64(n); b.left == 0 {
		return n, io.EOF
	}
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// readChunked reads content of the chunks, as many as are there and fit. What is there goes out before anybody waits for
// more.
func (b *answerBody) readChunked(p []byte) (int, error) {
	read := 0
	for !b.chunks.Last {
		if b.chunks.Left == 0 {
			if read > 0 && !b.nextIsThere() {
				return read, nil
			}
			if err := b.nextChunk(); err != nil {
				return read, unexpected(err)
			}
			continue
		}
		if read == len(p) || read > 0 && b.x.conn.len() == 0 {
			return read, nil
		}
		part := p[read:]
		if uint64(len(part)) > b.chunks.Left {
			part = part[:b.chunks.Left]
		}
		n, err := b.x.conn.read(part)
		read += n
		b.chunks.Left -= uint64(n)
		if err != nil {
			return read, unexpected(err)
		}
	}
	if read > 0 && trailersEnd(b.x.conn.bytes(), 0) == 0 {
		return read, nil
	}
	return read, b.readTrailers()
}

func unexpected(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// nextIsThere reports whether the line before the next chunk was read whole.
func (b *answerBody) nextIsThere() bool {
	p := b.x.conn.bytes()
	if b.chunks.Within {
		if len(p) < 2 {
			return false
		}
		p = p[2:]
	}
	return bytes.IndexByte(p, '\n') >= 0
}

// nextChunk reads what is between the content of two chunks.
func (b *answerBody) nextChunk() error {
	c := b.x.conn
	if b.chunks.Within {
		for {
			used, err := b.chunks.End(c.bytes())
			if err != nil {
				return malformed("%v", err)
			}
			if used > 0 {
				c.skip(used)
				break
			}
			if err := c.fill(c.Conn); err != nil {
				return err
			}
		}
	}
	for {
		used, err := b.chunks.Line(c.bytes())
		if err != nil {
			return malformed("%v", err)
		}
		if used > 0 {
			c.skip(used)
			return nil
		}
		if err := c.fill(c.Conn); err != nil {
			return err
		}
	}
}

// readTrailers reads the fields behind the last chunk (RFC 9112, section 7.1.2). It returns io.EOF when all is well.
func (b *answerBody) readTrailers() error {
	c := b.x.conn
	for looked := 0; ; {
		if n := trailersEnd(c.bytes(), looked); n > 0 {
			p := c.bytes()[:n]
			if p[0] == '\n' {
				return malformed("the line that ends a chunked body ends without CR")
			}
			if syntax.TooManyFields(p) {
				return errTooManyFields
			}
			fields, err := parseFields(string(p))
			if err != nil {
				return err
			}
			c.skip(n)
			b.addTrailers(fields)
			return io.EOF
		}
		looked = c.len()
		if looked > c.host.client.options.MaxHeaderBytes {
			return malformed("its trailers exceed %d bytes", c.host.client.options.MaxHeaderBytes)
		}
		if err := c.fill(c.Conn); err != nil {
			return unexpected(err)
		}
	}
}

// trailersEnd is as syntax.HeadEnd for trailers, of which there may be none.
func trailersEnd(p []byte, from int) int {
	switch {
	case len(p) >= 1 && p[0] == '\n':
		return 1
	case len(p) >= 2 && p[0] == '\r' && p[1] == '\n':
		return 2
	}
	return syntax.HeadEnd(p, from)
}

func (b *answerBody) addTrailers(fields map[string][]string) {
	r := &b.x.Response
	for name, values := range fields {
		if !isTrailer(name) {
			continue
		}
		if r.Trailer == nil {
			r.Trailer = make(map[string][]string)
		}
		r.Trailer[name] = values
	}
}
