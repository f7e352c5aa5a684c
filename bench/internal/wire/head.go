// Package wire reads and writes the few messages that the benchmark's clients and backends exchange. It asks for more
// than HTTP does, such as a Content-Length in each answer with a body, since the backends always send one.
package wire

import (
	"bytes"
	"errors"
	"fmt"
)

// maxHead bounds the start line and fields of one message.
const maxHead = 16 << 10

// ErrHeadTooLong is what a message whose head does not end is refused with.
var ErrHeadTooLong = errors.New("head of a message is longer than 16 KiB")

var headEnd = []byte("\r\n\r\n")

// Head is what is of interest in the head of an HTTP/1.1 message.
type Head struct {
	Size     int    // in bytes, 0 while it is not complete
	Status   int    // of an answer
	Method   []byte // of a request, as is Path; both lie in the bytes parsed
	Path     []byte
	Length   int64 // of the body, -1 if the message does not say
	Chunked  bool
	Close    bool // the connection ends with this message
	Upgraded bool // Upgrade is asked for, or granted
}

// ParseResponse reads the head of an answer.
func ParseResponse(b []byte) (Head, error) {
	h, line, err := parse(b)
	if err != nil || h.Size == 0 {
		return h, err
	}
	if len(line) < len("HTTP/1.1 200") || !bytes.HasPrefix(line, []byte("HTTP/1.")) || line[8] != ' ' {
		return h, fmt.Errorf("not a status line: %.40q", line)
	}
	for _, digit := range line[9:12] {
		if digit < '0' || digit > '9' {
			return h, fmt.Errorf("not a status line: %.40q", line)
		}
		h.Status = h.Status*10 + int(digit-'0')
	}
	if line[7] == '0' {
		h.Close = true
	}
	return h, nil
}

// ParseRequest reads the head of a request.
func ParseRequest(b []byte) (Head, error) {
	h, line, err := parse(b)
	if err != nil || h.Size == 0 {
		return h, err
	}
	method, rest, ok := bytes.Cut(line, []byte(" "))
	path, version, ok2 := bytes.Cut(rest, []byte(" "))
	if !ok || !ok2 || !bytes.HasPrefix(version, []byte("HTTP/1.")) {
		return h, fmt.Errorf("not a request line: %.40q", line)
	}
	h.Method, h.Path = method, path
	return h, nil
}

// parse finds the end of a head and reads its fields. The second result is the start line.
func parse(b []byte) (Head, []byte, error) {
	h := Head{Length: -1}
	end := bytes.Index(b, headEnd)
	if end < 0 {
		if len(b) > maxHead {
			return h, nil, ErrHeadTooLong
		}
		return h, nil, nil
	}
	h.Size = end + len(headEnd)
	start := bytes.IndexByte(b, '\r')
	for rest := b[start+2 : end+2]; len(rest) > 0; {
		next := bytes.IndexByte(rest, '\n')
		if next < 1 {
			return h, nil, errors.New("a line ends without CR LF")
		}
		if err := h.field(rest[:next-1]); err != nil {
			return h, nil, err
		}
		rest = rest[next+1:]
	}
	return h, b[:start], nil
}

// field takes note of one field line.
func (h *Head) field(line []byte) error {
	colon := bytes.IndexByte(line, ':')
	if colon < 1 {
		return fmt.Errorf("not a field: %.40q", line)
	}
	name, value := line[:colon], bytes.TrimSpace(line[colon+1:])
	switch {
	case is(name, "content-length"):
		n, ok := Decimal(value)
		if !ok {
			return fmt.Errorf("not a length: %.40q", value)
		}
		h.Length = n
	case is(name, "transfer-encoding"):
		h.Chunked = true
	case is(name, "connection"):
		h.Close = h.Close || is(value, "close")
	case is(name, "upgrade"):
		h.Upgraded = true
	}
	return nil
}

// is compares without regard to case; lower is in lower case.
func is(b []byte, lower string) bool {
	return len(b) == len(lower) && (b[0]|0x20) == lower[0] && bytes.EqualFold(b, []byte(lower))
}

// Decimal reads a number without a sign.
func Decimal(b []byte) (int64, bool) {
	if len(b) == 0 || len(b) > 18 {
		return 0, false
	}
	var n int64
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int64(c-'0')
	}
	return n, true
}
