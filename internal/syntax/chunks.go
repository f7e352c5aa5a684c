package syntax

import (
	"bytes"
	"errors"
	"fmt"
)

// Bounds of a chunked body that carries more framing than content.
const (
	// MaxChunkLine is the most bytes of the line before a chunk, extensions included.
	MaxChunkLine = 4 << 10

	maxChunkDigits = 16 // of a chunk's size, leading zeros included

	// An extension is for nobody here, so a body may have 16 KiB of them and a byte for each of its
	// own.
	maxChunkExtensions = 16 << 10
)

// Chunks is the state of reading a chunked body (RFC 9112, section 7.1). Its lines end with CRLF: a
// bare LF is refused, as others on the way may not take it for the end of a line.
type Chunks struct {
	Left   uint64 // of the current chunk
	Within bool   // the current chunk's end was not read yet
	Last   bool   // the last chunk was read; trailers follow

	excess int64 // bytes of extensions, less those of content
}

var errChunkEnd = errors.New("a chunk does not end where its size says")

// Line reads the line before a chunk from the start of p. used is 0 when more is needed.
func (c *Chunks) Line(p []byte) (used int, err error) {
	n := bytes.IndexByte(p, '\n')
	if n < 0 {
		if len(p) > MaxChunkLine {
			return 0, fmt.Errorf("a chunk begins with more than %d bytes", MaxChunkLine)
		}
		return 0, nil
	}
	if n == 0 || p[n-1] != '\r' {
		return 0, errors.New("the line of a chunk ends without CR")
	}
	line := p[:n-1]
	digits := 0
	var size uint64
	for ; digits < len(line); digits++ {
		d, ok := hexDigit(line[digits])
		if !ok {
			break
		}
		if size >= 1<<59 {
			return 0, errors.New("a chunk of 2^63 bytes or more")
		}
		size = size<<4 | uint64(d)
	}
	if digits == 0 || digits > maxChunkDigits {
		return 0, fmt.Errorf("a chunk begins with %.32q, which is no size", line)
	}
	extension := bytes.TrimLeft(line[digits:], " \t")
	if len(extension) > 0 && (extension[0] != ';' || !isClass(extension, valueChar)) {
		return 0, fmt.Errorf("the size of a chunk is followed by %.32q", extension)
	}
	if len(line) > MaxChunkLine {
		return 0, fmt.Errorf("a chunk begins with more than %d bytes", MaxChunkLine)
	}
	c.excess = max(c.excess+int64(len(line)-digits)-int64(min(size, maxChunkExtensions)), 0)
	if c.excess > maxChunkExtensions {
		return 0, errors.New("a chunked body has more extensions than content")
	}
	c.Left, c.Within, c.Last = size, true, size == 0
	return n + 1, nil
}

func hexDigit(c byte) (byte, bool) {
	switch {
	case '0' <= c && c <= '9':
		return c - '0', true
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10, true
	case 'A' <= c && c <= 'F':
		return c - 'A' + 10, true
	}
	return 0, false
}

// End reads the CRLF behind a chunk's content. used is 0 when more is needed.
func (c *Chunks) End(p []byte) (used int, err error) {
	switch {
	case len(p) > 0 && p[0] != '\r', len(p) > 1 && p[1] != '\n':
		return 0, errChunkEnd
	case len(p) < 2:
		return 0, nil
	}
	c.Within = false
	return 2, nil
}
