package h1

import (
	"bytes"

	"github.com/caddylb/caddy-lb/internal/syntax"
)

// Bounds of a chunked body that carries more framing than content.
const (
	maxChunkLine   = 4 << 10 // bytes of the line before a chunk, extensions included
	maxChunkDigits = 16      // of its size, leading zeros included

	// An extension is for nobody here, so a body may have 16 KiB of them and a byte for each of its own.
	maxChunkExtensions = 16 << 10
)

// chunked is the state of reading a chunked body (RFC 9112, section 7.1).
type chunked struct {
	left   uint64 // of the current chunk
	within bool   // its end was not read yet
	last   bool   // there is none any more
	excess int64  // bytes of extensions, less those of content
}

// parseChunkLine reads the line before a chunk from the start of p. used is 0 when more is needed.
func (c *chunked) parseChunkLine(p []byte) (used int, err error) {
	n := bytes.IndexByte(p, '\n')
	if n < 0 {
		if len(p) > maxChunkLine {
			return 0, malformed("a chunk begins with more than %d bytes", maxChunkLine)
		}
		return 0, nil
	}
	if n == 0 || p[n-1] != '\r' {
		return 0, malformed("the line of a chunk ends without CR")
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
			return 0, malformed("a chunk of 2^63 bytes or more")
		}
		size = size<<4 | uint64(d)
	}
	if digits == 0 || digits > maxChunkDigits {
		return 0, malformed("a chunk begins with %.32q, which is no size", line)
	}
	extension := bytes.TrimLeft(line[digits:], " \t")
	if len(extension) > 0 && (extension[0] != ';' || !syntax.IsFieldValue(string(extension))) {
		return 0, malformed("the size of a chunk is followed by %.32q", extension)
	}
	if len(line) > maxChunkLine {
		return 0, malformed("a chunk begins with more than %d bytes", maxChunkLine)
	}
	c.excess = max(c.excess+int64(len(line)-digits)-int64(min(size, maxChunkExtensions)), 0)
	if c.excess > maxChunkExtensions {
		return 0, malformed("a chunked body has more extensions than content")
	}
	c.left, c.within, c.last = size, true, size == 0
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

// parseChunkEnd reads the CRLF behind a chunk's content. used is 0 when more is needed.
func parseChunkEnd(p []byte) (used int, err error) {
	switch {
	case len(p) > 0 && p[0] != '\r', len(p) > 1 && p[1] != '\n':
		return 0, malformed("a chunk does not end where its size says")
	case len(p) < 2:
		return 0, nil
	}
	return 2, nil
}
