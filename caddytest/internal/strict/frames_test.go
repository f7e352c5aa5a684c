package strict

import (
	"errors"
	"strings"
	"testing"
)

// f is a frame of a type with flags on stream 1.
func f(kind, flags byte, payload string) string { return on(1, kind, flags, payload) }

func on(stream, kind, flags byte, payload string) string {
	return string([]byte{0, byte(len(payload) >> 8), byte(len(payload)), kind, flags, 0, 0, 0, stream}) + payload
}

// section encodes names and values as literals.
func section(fields ...string) string {
	var b strings.Builder
	for i, s := range fields {
		if i%2 == 0 {
			b.WriteByte(0)
		}
		b.WriteByte(byte(len(s)))
		b.WriteString(s)
	}
	return b.String()
}

var (
	getSection  = section(":method", "GET", ":scheme", "http", ":authority", "a", ":path", "/")
	postSection = section(":method", "POST", ":scheme", "http", ":authority", "a", ":path", "/")
)

const (
	ends  = flagEndStream
	whole = flagEndHeaders
)

// headers are a HEADERS frame of a GET with more fields.
func headers(fields ...string) string {
	return f(frameHeaders, ends|whole, getSection+section(fields...))
}

// pseudoOnly are a HEADERS frame of these fields alone.
func pseudoOnly(fields ...string) string { return f(frameHeaders, ends|whole, section(fields...)) }

// refused2 are streams with the one rule that each violates.
var refused2 = map[Rule][]string{
	PseudoOrder:   {pseudoOnly("a", "b", ":method", "GET", ":scheme", "http", ":path", "/")},
	PseudoOnce:    {headers(":path", "/b"), headers(":method", "GET")},
	PseudoKnown:   {headers(":status", "200"), headers(":Path", "/"), f(frameHeaders, whole, postSection) + f(frameHeaders, ends|whole, section(":path", "/"))},
	PseudoMissing: {pseudoOnly(":method", "GET", ":scheme", "http"), pseudoOnly(":method", "GET", ":path", "/"), pseudoOnly(":method", "CONNECT", ":authority", "a:1", ":path", "/"), headers(":protocol", "x"), pseudoOnly(":scheme", "http", ":path", "/", ":method", "CONNECT", ":authority", "a")},
	Method:        {pseudoOnly(":method", "G T", ":scheme", "http", ":path", "/"), pseudoOnly(":method", "", ":scheme", "http", ":path", "/")},
	Scheme:        {pseudoOnly(":method", "GET", ":scheme", "ftp", ":path", "/"), pseudoOnly(":method", "GET", ":scheme", "", ":path", "/")},
	Path2:         {pseudoOnly(":method", "GET", ":scheme", "http", ":path", ""), pseudoOnly(":method", "GET", ":scheme", "http", ":path", "*"), pseudoOnly(":method", "GET", ":scheme", "http", ":path", "http://a/")},
	TargetChars:   {pseudoOnly(":method", "GET", ":scheme", "http", ":path", "/ HTTP/1.1"), pseudoOnly(":method", "GET", ":scheme", "http", ":path", "/\r\n")},
	Authority2:    {headers("host", "b")},
	HostValue:     {headers("host", "a/b"), pseudoOnly(":method", "GET", ":scheme", "http", ":path", "/", ":authority", "a b")},
	HostOnce:      {headers("host", "a", "host", "a")},
	UserInfo:      {pseudoOnly(":method", "GET", ":scheme", "http", ":path", "/", ":authority", "u@a")},
	Name2:         {headers("A", "b"), headers("", "b"), headers("a b", "c"), headers("a:", "b"), headers("a\r\nb", "c"), headers("\xc3", "b")},
	Value2:        {headers("a", "b\r\nc: d"), headers("a", "\x00"), headers("a", " b"), headers("a", "b\t")},
	Connection2:   {headers("connection", "close"), headers("transfer-encoding", "chunked"), headers("upgrade", "a"), headers("keep-alive", "5"), headers("proxy-connection", "a")},
	TE2:           {headers("te", "gzip")},
	Length:        {headers("content-length", "+0")},
	OneLength:     {headers("content-length", "0", "content-length", "0")},
	Length2:       {headers("content-length", "1"), f(frameHeaders, whole, postSection+section("content-length", "2")) + f(frameData, ends, "abc")},
	TrailersEnd:   {f(frameHeaders, whole, postSection) + f(frameHeaders, whole, section("a", "b")) + f(frameData, ends, "")},
	ClosedStream:  {headers() + f(frameData, ends, "a"), headers() + headers()},
}

func TestRefusedStreams(t *testing.T) {
	for rule, all := range refused2 {
		accepted := 0
		for _, raw := range all {
			if err := firstStream(Reader{}, raw); !isFault(err, rule) {
				t.Errorf("%q: %v; want a violation of %q", raw, err, rule)
			}
			if firstStream(Reader{off: rule}, raw) == nil {
				accepted++
			}
		}
		if accepted == 0 {
			t.Errorf("without %q all of its streams are refused still", rule)
		}
	}
}

func isFault(err error, rule Rule) bool {
	var f *Fault
	return errors.As(err, &f) && f.Rule == rule
}

// firstStream is why the first stream is no request.
func firstStream(r Reader, raw string) error {
	streams, err := r.Streams([]byte(ClientPreface + raw))
	if err != nil {
		return err
	}
	_, err = r.Request2(streams[0])
	return err
}

func TestRefusedFrames(t *testing.T) {
	half := getSection[:10]
	for raw, rule := range map[string]Rule{
		f(frameHeaders, ends, half) + f(frameData, ends, "a"):                                 FrameOrder,
		f(frameHeaders, ends, half) + on(3, frameContinuation, whole, getSection[10:]):        FrameOrder,
		f(frameContinuation, whole, getSection):                                               FrameOrder,
		f(frameData, ends, "a"):                                                               FrameStream,
		on(2, frameHeaders, ends|whole, getSection):                                           FrameStream,
		on(3, frameHeaders, ends|whole, getSection) + f(frameHeaders, ends|whole, getSection): FrameStream,
		f(frameHeaders, ends|whole|flagPadded, "\xff"+getSection):                             Padding,
		f(frameHeaders, whole, postSection) + f(frameData, ends|flagPadded, "\x01"):           Padding,
		f(frameHeaders, ends|whole|flagPriority, "\x00"):                                      FrameSize,
		f(framePriority, 0, "\x00"):                                                           FrameSize,
		f(frameHeaders, ends|whole, "\xfe"):                                                   Compression,
	} {
		if _, err := (Reader{}).Streams([]byte(ClientPreface + raw)); !isFault(err, rule) {
			t.Errorf("%q: %v, want a violation of %q", raw, err, rule)
		}
	}
	if _, err := (Reader{}).Streams([]byte("GET / HTTP/1.1\r\nHost: a\r\n\r\n")); !isFault(err, Preface) {
		t.Errorf("no preface: %v", err)
	}
}

func TestStreams(t *testing.T) {
	raw := ClientPreface + on(0, 4, 0, "") +
		f(frameHeaders, flagPadded|flagPriority, "\x02\x00\x00\x00\x00\x10"+postSection[:9]+"\x00\x00") + f(frameContinuation, whole, postSection[9:]) +
		on(3, frameHeaders, ends|whole, getSection) +
		f(frameData, flagPadded, "\x01ab\x00") + f(frameData, 0, "") + f(frameData, 0, "c") + f(frameHeaders, ends|whole, section("x-sum", "3"))
	streams, err := Reader{}.Streams([]byte(raw))
	if err != nil || len(streams) != 2 {
		t.Fatalf("%d streams, %v", len(streams), err)
	}
	m, err := Reader{}.Request2(streams[0])
	if err != nil || m.Method != "POST" || m.Authority != "a" || string(m.Body) != "abc" || len(m.Trailers) != 1 {
		t.Errorf("%+v, %v", m, err)
	}
	for end := range len(raw) - 1 {
		streams, err := Reader{}.Streams([]byte(raw[:end]))
		if err != nil && !errors.Is(err, ErrIncomplete) && end >= len(ClientPreface) {
			t.Fatalf("%d bytes: %v", end, err)
		}
		if len(streams) > 0 {
			if m, err := (Reader{}).Request2(streams[0]); err == nil {
				t.Fatalf("%d of %d bytes are read as %+v", end, len(raw), m)
			}
		}
	}
}

// What shows a fault behind its end, or behind the length it said, was a request by then.
func TestEarlyEnd(t *testing.T) {
	for _, raw := range []string{
		headers() + f(frameData, ends, "a"),
		f(frameHeaders, whole, postSection+section("content-length", "1")) + f(frameData, 0, "a") + f(frameData, ends, "b"),
		f(frameHeaders, whole, postSection+section("content-length", "1")) + f(frameData, 0, "a") + f(frameReset, 0, "\x00\x00\x00\x08"),
	} {
		if err := firstStream(Reader{}, raw); err == nil {
			t.Errorf("%q is read", raw)
		}
		if err := firstStream(Reader{Allowed: EarlyEnd}, raw); err != nil {
			t.Errorf("%q: %v", raw, err)
		}
	}
}
