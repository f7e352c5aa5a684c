package strict

import (
	"encoding/binary"

	"golang.org/x/net/http2/hpack"
)

// ClientPreface begins a client's side of an HTTP/2 connection (RFC 9113, section 3.4).
const ClientPreface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

// The types of frames that carry messages (RFC 9113, section 6).
const (
	frameData         = 0x0
	frameHeaders      = 0x1
	framePriority     = 0x2
	frameReset        = 0x3
	frameContinuation = 0x9
)

// The flags of frames.
const (
	flagEndStream  = 0x1
	flagEndHeaders = 0x4
	flagPadded     = 0x8
	flagPriority   = 0x20
)

// Stream is what came on one stream of an HTTP/2 connection.
type Stream struct {
	ID       uint32
	Header   Fields
	Body     []byte
	Trailers Fields
	Ended    bool  // by END_STREAM
	Reset    bool  // by the client
	Err      error // why what came is no message; nil when it may be one

	trailed bool
}

// Frames reads one side of an HTTP/2 connection, piece by piece.
type Frames struct {
	Reader
	decoder *hpack.Decoder
	pending []byte // a frame that goes on, or the preface
	begun   bool   // the preface is read
	streams []*Stream
	byID    map[uint32]*Stream
	block   []byte // of a header section that goes on
	open    *Stream
	ends    bool // the stream, with that section
	err     error
}

// Frames returns a reader of what a client sends on an HTTP/2 connection, preface first.
func (r Reader) Frames() *Frames {
	return &Frames{Reader: r, decoder: hpack.NewDecoder(4096, nil), byID: make(map[uint32]*Stream)}
}

type frame struct {
	kind, flags byte
	stream      uint32
	payload     []byte
}

// Streams reads what a client sent on an HTTP/2 connection, preface first. It returns the streams
// in their order. The error is one of the connection, behind which nothing counts; ErrIncomplete is
// a frame that goes on.
func (r Reader) Streams(p []byte) ([]*Stream, error) {
	s := r.Frames()
	if _, err := s.Write(p); err != nil {
		return s.streams, err
	}
	if len(s.pending) > 0 || s.open != nil {
		return s.streams, ErrIncomplete
	}
	return s.streams, nil
}

// Stream is what came on a stream so far; nil for nothing.
func (s *Frames) Stream(id uint32) *Stream { return s.byID[id] }

// All are the streams in their order, and why there are not more: ErrIncomplete when the connection
// has ended within a frame.
func (s *Frames) All() ([]*Stream, error) {
	if s.err == nil && (len(s.pending) > 0 || s.open != nil) {
		return s.streams, ErrIncomplete
	}
	return s.streams, s.err
}

// Write takes what came next. Its error is one of the connection.
func (s *Frames) Write(p []byte) (int, error) {
	s.pending = append(s.pending, p...)
	for s.err == nil {
		n, err := s.next(s.pending)
		s.err = err
		if n == 0 {
			break
		}
		s.pending = s.pending[n:]
	}
	return len(p), s.err
}

// next reads the preface or a frame, and returns its length; 0 when more has to come.
func (s *Frames) next(p []byte) (int, error) {
	if !s.begun {
		if n := min(len(p), len(ClientPreface)); string(p[:n]) != ClientPreface[:n] {
			return 0, &Fault{Preface, string(p[:n])}
		}
		if len(p) < len(ClientPreface) {
			return 0, nil
		}
		s.begun = true
		return len(ClientPreface), nil
	}
	if len(p) < 9 {
		return 0, nil
	}
	n := int(binary.BigEndian.Uint32(p) >> 8)
	f := frame{kind: p[3], flags: p[4], stream: binary.BigEndian.Uint32(p[5:]) & (1<<31 - 1)}
	if n > 1<<14 {
		return 0, &Fault{FrameSize, string(p[:9])}
	}
	if len(p) < 9+n {
		return 0, nil
	}
	f.payload = p[9 : 9+n]
	return 9 + n, s.frame(f)
}

func (s *Frames) fault(rule Rule, text string) error {
	return (&cursor{Reader: s.Reader}).fault(rule, text)
}

func (s *Frames) frame(f frame) error {
	if s.open != nil && (f.kind != frameContinuation || f.stream != s.open.ID) {
		if err := s.fault(FrameOrder, "a frame within a field block"); err != nil {
			return err
		}
	}
	switch f.kind {
	case frameHeaders:
		return s.headers(f)
	case frameContinuation:
		if s.open == nil {
			return s.fault(FrameOrder, "CONTINUATION")
		}
		s.block = append(s.block, f.payload...)
		return s.endBlock(f)
	case frameData:
		return s.data(f)
	case frameReset:
		if st := s.byID[f.stream]; st != nil {
			st.Reset = true
			st.blame(ErrIncomplete)
		}
	case framePriority:
		if len(f.payload) != 5 {
			return s.fault(FrameSize, "PRIORITY")
		}
	}
	return nil
}

// begin adds a stream.
func (s *Frames) begin(st *Stream) {
	s.streams = append(s.streams, st)
	s.byID[st.ID] = st
}

// content is a frame's payload without padding.
func (s *Frames) content(f frame) ([]byte, error) {
	p := f.payload
	if f.flags&flagPadded == 0 {
		return p, nil
	}
	if len(p) == 0 || int(p[0]) >= len(p) {
		return nil, &Fault{Padding, string(p[:min(len(p), 8)])}
	}
	return p[1 : len(p)-int(p[0])], nil
}

func (s *Frames) headers(f frame) error {
	p, err := s.content(f)
	if err != nil {
		if s.Allowed&LoosePadding == 0 {
			return err
		}
		s.begin(&Stream{ID: f.stream, Err: err})
		return nil
	}
	if f.flags&flagPriority != 0 {
		if len(p) < 5 {
			return &Fault{FrameSize, "HEADERS with priority"}
		}
		p = p[5:]
	}
	st := s.byID[f.stream]
	if st == nil {
		rising := len(s.streams) == 0 || f.stream > s.streams[len(s.streams)-1].ID
		if f.stream%2 == 0 || !rising {
			return &Fault{FrameStream, "HEADERS"}
		}
		st = &Stream{ID: f.stream}
		s.begin(st)
	} else {
		st.trailed = true
	}
	s.open, s.block, s.ends = st, append([]byte(nil), p...), f.flags&flagEndStream != 0
	return s.endBlock(f)
}

// endBlock decodes a field block that is there to its end.
func (s *Frames) endBlock(f frame) error {
	if f.flags&flagEndHeaders == 0 {
		return nil
	}
	st := s.open
	s.open = nil
	decoded, err := s.decoder.DecodeFull(s.block)
	if err != nil {
		return &Fault{Compression, err.Error()}
	}
	fields := make(Fields, len(decoded))
	for i, d := range decoded {
		fields[i] = Field{d.Name, d.Value}
	}
	switch {
	case !st.trailed:
		st.Header = fields
	case st.Ended:
		st.blame(s.fault(ClosedStream, "HEADERS"))
		return nil
	case !s.ends:
		st.blame(s.fault(TrailersEnd, "HEADERS"))
		return nil
	default:
		st.Trailers = fields
	}
	st.Ended = s.ends
	return nil
}

func (s *Frames) data(f frame) error {
	st := s.byID[f.stream]
	if st == nil {
		return &Fault{FrameStream, "DATA"}
	}
	p, err := s.content(f)
	if err != nil {
		return err
	}
	if st.Ended {
		st.blame(s.fault(ClosedStream, "DATA"))
		return nil
	}
	st.Body = append(st.Body, p...)
	st.Ended = f.flags&flagEndStream != 0
	return nil
}

// blame notes the first fault of a stream.
func (st *Stream) blame(err error) {
	if st.Err == nil {
		st.Err = err
	}
}
