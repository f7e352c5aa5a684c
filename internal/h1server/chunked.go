package h1server

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"strings"

	"github.com/caddylb/caddy-lb/internal/syntax"
)

var (
	errTrailerLine = errors.New("a line behind the request's body ends without CR")
	errTrailer     = errors.New("a line behind the request's body is no field")
)

// chunkedBody is a body in chunks with the fields behind it (RFC 9112, section 7.1).
type chunkedBody struct {
	x      *exchange
	chunks syntax.Chunks
}

// Read implements io.Reader. What is there is returned before more is waited for.
func (b *chunkedBody) Read(p []byte) (n int, err error) {
	br := b.x.c.br
	for !b.chunks.Last {
		if b.chunks.Left == 0 {
			if n > 0 && !b.nextIsThere() {
				return n, nil
			}
			if err := b.nextChunk(); err != nil {
				return n, err
			}
			continue
		}
		if n == len(p) || n > 0 && br.Buffered() == 0 {
			return n, nil
		}
		part := p[n:]
		if uint64(len(part)) > b.chunks.Left {
			part = part[:b.chunks.Left]
		}
		m, err := br.Read(part)
		n += m
		b.chunks.Left -= uint64(m)
		if err != nil {
			return n, unexpected(err)
		}
	}
	if n > 0 && !b.trailersAreThere() {
		return n, nil
	}
	return n, b.readTrailers()
}

// unexpected is an error in reading what has to be there.
func unexpected(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// nextIsThere reports whether the line before the next chunk was received.
func (b *chunkedBody) nextIsThere() bool {
	p, _ := b.x.c.br.Peek(b.x.c.br.Buffered())
	if b.chunks.Within {
		if len(p) < 2 {
			return false
		}
		p = p[2:]
	}
	return bytes.IndexByte(p, '\n') >= 0
}

// nextChunk reads what is between the content of two chunks.
func (b *chunkedBody) nextChunk() error {
	if b.chunks.Within {
		if err := b.take(b.chunks.End); err != nil {
			return err
		}
	}
	return b.take(b.chunks.Line)
}

// take has parse use up what is received, as soon as it is enough.
func (b *chunkedBody) take(parse func(p []byte) (used int, err error)) error {
	br := b.x.c.br
	for {
		p, _ := br.Peek(br.Buffered())
		used, err := parse(p)
		if err != nil {
			return fmt.Errorf("the request's body is malformed: %w", err)
		}
		if used > 0 {
			_, _ = br.Discard(used)
			return nil
		}
		if len(p) == br.Size() {
			return fmt.Errorf("the request's body is malformed: a chunk begins with more than %d bytes", len(p))
		}
		if _, err := br.Peek(len(p) + 1); err != nil {
			return unexpected(err)
		}
	}
}

// trailersAreThere reports whether all of the body was received.
func (b *chunkedBody) trailersAreThere() bool {
	p, _ := b.x.c.br.Peek(b.x.c.br.Buffered())
	end, err := trailersEnd(p, new(int))
	return end > 0 || err != nil
}

// readTrailers reads the fields behind the last chunk. It returns io.EOF when all is well.
func (b *chunkedBody) readTrailers() error {
	br := b.x.c.br
	for looked := 0; ; {
		p, _ := br.Peek(br.Buffered())
		end, err := trailersEnd(p, &looked)
		if err != nil {
			return err
		}
		if end > 0 {
			err := b.addTrailers(string(p[:end]))
			_, _ = br.Discard(end)
			return err
		}
		if len(p) == br.Size() {
			return errLongTrailers // the buffer bounds them
		}
		if _, err := br.Peek(len(p) + 1); err != nil {
			return unexpected(err)
		}
	}
}

// trailersEnd looks for the empty line that ends the trailers at the start of p. It returns their
// length with that line, or 0 when it is not there yet. What is before looked is known to be whole
// lines. A bare LF ends no line: others on the way may not take it for one.
func trailersEnd(p []byte, looked *int) (int, error) {
	for {
		line := p[*looked:]
		n := bytes.IndexByte(line, '\n')
		switch {
		case n < 0:
			return 0, nil
		case n == 0 || line[n-1] != '\r':
			return 0, errTrailerLine
		}
		*looked += n + 1
		if n == 1 {
			return *looked, nil
		}
	}
}

// addTrailers adds fields to the request's trailers, all or none. It returns io.EOF when all are
// well.
func (b *chunkedBody) addTrailers(text string) error {
	trailer := make(http.Header)
	for {
		line, rest, _ := strings.Cut(text, "\r\n")
		if line == "" {
			break
		}
		text = rest
		name, value, ok := parseField(line)
		if !ok {
			return errTrailer // or it continues the line before it, which a server has to refuse or to join (RFC 9112, section 5.2)
		}
		trailer[name] = append(trailer[name], value)
	}
	r := b.x.req
	switch {
	case len(trailer) == 0:
	case r.Trailer == nil:
		r.Trailer = trailer
	default:
		maps.Copy(r.Trailer, trailer)
	}
	return io.EOF
}
