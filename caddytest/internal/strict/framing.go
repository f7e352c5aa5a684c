package strict

import (
	"errors"
	"strconv"
	"strings"
)

// framing is how a body's end is found (RFC 9112, section 6.3).
type framing struct {
	coded   bool // there is Transfer-Encoding
	length  int  // -1 without Content-Length
	endless bool // the length is beyond any that could come
}

// framing reads the fields that tell of a body.
func (c *cursor) framing(fields Fields, minor int) (framing, error) {
	f := framing{length: -1}
	if values := fields.Values("Transfer-Encoding"); len(values) > 0 {
		if minor == 0 {
			if err := c.ease(OldCoding, CodingInOld, values[0]); err != nil {
				return f, err
			}
			err := c.length(&f, fields)
			return f, err
		}
		f.coded = true
		codings := fields.List("Transfer-Encoding")
		chunked := len(codings) == 1 && strings.EqualFold(codings[0], "chunked")
		if err := c.require(chunked, Coding, strings.Join(values, "; ")); err != nil {
			return f, err
		}
	}
	err := c.length(&f, fields)
	return f, err
}

// length reads Content-Length.
func (c *cursor) length(f *framing, fields Fields) error {
	values := fields.Values("Content-Length")
	if len(values) == 0 {
		return nil
	}
	if f.coded {
		return c.ease(BothFramings, TwoFramings, values[0])
	}
	all := strings.Split(strings.Join(values, ","), ",")
	for i, v := range all {
		all[i] = strings.Trim(v, " \t")
		if err := c.require(isNumber(all[i]), Length, v); err != nil {
			return err
		}
	}
	for _, v := range all[1:] {
		if err := c.require(v == all[0], OneLength, strings.Join(all, ",")); err != nil {
			return err
		}
	}
	if len(all) > 1 {
		if err := c.ease(EqualLengths, OneLength, strings.Join(all, ",")); err != nil {
			return err
		}
	}
	f.length, f.endless = count(all[0], 10)
	return nil
}

// count reads a number of bytes. endless is one that no connection brings.
func count(s string, base int) (n int, endless bool) {
	v, err := strconv.ParseUint(s, base, 40)
	return int(v), errors.Is(err, strconv.ErrRange)
}

// chunks reads a chunked body and the trailer section behind it (RFC 9112, section 7.1).
func (c *cursor) chunks() (body []byte, trailers Fields, err error) {
	for {
		size, err := c.chunkLine()
		if err != nil {
			return nil, nil, err
		}
		if size == 0 {
			break
		}
		data, err := c.take(size)
		if err != nil {
			return nil, nil, err
		}
		body = append(body, data...)
		if err := c.chunkEnd(); err != nil {
			return nil, nil, err
		}
	}
	trailers, err = c.fields(c.Allowed&ObsFold, TrailerEnd)
	return body, trailers, err
}

// chunkLine reads the line before a chunk's data.
func (c *cursor) chunkLine() (int, error) {
	line, err := c.line(0, ChunkLine)
	if err != nil {
		return 0, err
	}
	end := 0
	for end < len(line) && isHex(line[end]) {
		end++
	}
	if end == 0 {
		if err := c.fault(ChunkSize, line); err != nil {
			return 0, err
		}
		line, end = "0", 1
	}
	if err := c.require(isContent(line), ChunkLine, line); err != nil {
		return 0, err
	}
	extension := line[end:]
	switch {
	case extension == "" || isExtension(extension):
	case strings.Trim(extension, " \t") == "":
		if err := c.ease(PaddedSize, Extension, line); err != nil {
			return 0, err
		}
	default:
		if c.Allowed&LooseExtension == 0 || !strings.HasPrefix(strings.TrimLeft(extension, " \t"), ";") {
			return 0, c.fault(Extension, line)
		}
		c.used |= LooseExtension
	}
	size, endless := count(line[:end], 16)
	if endless {
		return 0, ErrIncomplete
	}
	return size, nil
}

// isExtension is *( BWS ";" BWS chunk-ext-name [ BWS "=" BWS chunk-ext-val ] ).
func isExtension(s string) bool {
	for s != "" {
		rest, ok := strings.CutPrefix(strings.TrimLeft(s, " \t"), ";")
		if !ok {
			return false
		}
		rest = strings.TrimLeft(rest, " \t")
		after := strings.TrimLeft(rest, tokenChars)
		if after == rest {
			return false
		}
		s = after
		value, ok := strings.CutPrefix(strings.TrimLeft(s, " \t"), "=")
		if !ok {
			continue
		}
		value = strings.TrimLeft(value, " \t")
		if s, ok = cutValue(value); !ok {
			return false
		}
	}
	return true
}

// cutValue cuts a token or a quoted-string off (RFC 9110, section 5.6.4).
func cutValue(s string) (rest string, ok bool) {
	if !strings.HasPrefix(s, `"`) {
		rest = strings.TrimLeft(s, tokenChars)
		return rest, rest != s
	}
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '"':
			return s[i+1:], true
		case '\\':
			i++
		}
	}
	return "", false
}

func (c *cursor) chunkEnd() error {
	rest := c.p[c.at:]
	if len(rest) < 2 && (len(rest) == 0 || rest[0] == '\r') {
		return ErrIncomplete
	}
	if strings.HasPrefix(string(rest[:min(2, len(rest))]), "\r\n") {
		c.at += 2
		return nil
	}
	return c.fault(ChunkEnd, string(rest[:min(8, len(rest))]))
}
