package corpus

import (
	"encoding/binary"
	"fmt"
	"strings"
)

// Request2 is what a client sends in place of a request of HTTP/2.
type Request2 struct {
	Name   string // unique
	Frames func(stream uint32) []byte

	// Served says that a proxy must have it answered by the backend.
	Served bool
}

// A pair is one line of a header section, in which pseudo-header fields stand first.
type pair [2]string

// Requests2 are all of HTTP/2, grouped by what they vary.
func Requests2() []Request2 {
	var l list2
	for _, group := range []func(*list2){plainRequests2, pseudo2, targets2, hosts2, fields2, lengths2, trailers2, connects2, frames2} {
		group(&l)
	}
	return l.requests
}

type list2 struct {
	requests []Request2
	names    map[string]bool
}

func (l *list2) put(r Request2) {
	if l.names == nil {
		l.names = make(map[string]bool)
	}
	base := r.Name
	for n := 2; l.names[r.Name]; n++ {
		r.Name = fmt.Sprintf("%s #%d", base, n)
	}
	l.names[r.Name] = true
	l.requests = append(l.requests, r)
}

// add adds a request of a header section and some frames behind it.
func (l *list2) add(name string, header []pair, rest ...rawFrame) {
	l.frames(name, append([]rawFrame{headersFrame(header, len(rest) == 0)}, rest...)...)
}

func (l *list2) frames(name string, frames ...rawFrame) {
	l.put(Request2{Name: name, Frames: func(stream uint32) []byte { return encode(stream, frames) }})
}

// served adds a request that has to reach the backend.
func (l *list2) served(name string, header []pair, rest ...rawFrame) {
	frames := append([]rawFrame{headersFrame(header, len(rest) == 0)}, rest...)
	l.put(Request2{Name: name, Served: true, Frames: func(stream uint32) []byte { return encode(stream, frames) }})
}

// rawFrame is one frame. Its stream is that of the request, but for the given distance.
type rawFrame struct {
	kind, flags byte
	distance    uint32
	payload     string
}

// The types and flags of frames (RFC 9113, section 6).
const (
	kindData         = 0x0
	kindHeaders      = 0x1
	kindPing         = 0x6
	kindContinuation = 0x9
	endStream        = 0x1
	endHeaders       = 0x4
	padded           = 0x8
	withPriority     = 0x20
)

// AppendFrame appends a frame.
func AppendFrame(p []byte, kind, flags byte, stream uint32, payload string) []byte {
	p = append(p, byte(len(payload)>>16), byte(len(payload)>>8), byte(len(payload)), kind, flags)
	p = binary.BigEndian.AppendUint32(p, stream)
	return append(p, payload...)
}

func encode(stream uint32, frames []rawFrame) []byte {
	var p []byte
	for _, f := range frames {
		id := stream + f.distance
		if f.kind == kindPing {
			id = 0
		}
		p = AppendFrame(p, f.kind, f.flags, id, f.payload)
	}
	return p
}

func headersFrame(header []pair, ends bool) rawFrame {
	f := rawFrame{kind: kindHeaders, flags: endHeaders, payload: block(header)}
	if ends {
		f.flags |= endStream
	}
	return f
}

// body is a DATA frame that ends the stream.
func body(content string) rawFrame {
	return rawFrame{kind: kindData, flags: endStream, payload: content}
}

// part is a DATA frame behind which there is more.
func part(content string) rawFrame { return rawFrame{kind: kindData, payload: content} }

// trailer is a HEADERS frame that ends the stream.
func trailer(fields ...pair) rawFrame { return headersFrame(fields, true) }

// block encodes a header section by literals that are in no table (RFC 7541, section 6.2.2), so
// that it does not depend on what was sent before.
func block(header []pair) string {
	var b strings.Builder
	for _, f := range header {
		b.WriteByte(0)
		for _, s := range f {
			writeLength(&b, len(s))
			b.WriteString(s)
		}
	}
	return b.String()
}

// writeLength writes an integer with a prefix of seven bits (RFC 7541, section 5.1).
func writeLength(b *strings.Builder, n int) {
	if n < 127 {
		b.WriteByte(byte(n))
		return
	}
	b.WriteByte(127)
	for n -= 127; n >= 128; n >>= 7 {
		b.WriteByte(byte(n) | 128)
	}
	b.WriteByte(byte(n))
}

// get2 is the header section of a GET.
func get2(fields ...pair) []pair {
	return append([]pair{{":method", "GET"}, {":scheme", "http"}, {":authority", "a.test"}, {":path", "/case"}}, fields...)
}

// post2 is the header section of a POST.
func post2(fields ...pair) []pair {
	return append([]pair{{":method", "POST"}, {":scheme", "http"}, {":authority", "a.test"}, {":path", "/case"}}, fields...)
}

// Get2 is a well-formed GET of HTTP/2.
func Get2(stream uint32, path string) []byte {
	header := get2()
	header[3][1] = path
	return encode(stream, []rawFrame{headersFrame(header, true)})
}
