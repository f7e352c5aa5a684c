package wire

import (
	"encoding/binary"
	"errors"
)

// The parts of a frame's first two bytes (RFC 6455, section 5.2).
const (
	finBinary = 0x82
	masked    = 0x80
	length16  = 126
)

// mask is the same for all frames: nobody is to be kept from guessing it here.
var mask = [4]byte{0x12, 0x34, 0x56, 0x78}

var errFrame = errors.New("not a whole binary frame of up to 65,535 bytes")

// Frame is a binary WebSocket frame with a payload of up to 65,535 bytes, masked as a client has to.
func Frame(payload []byte, fromClient bool) []byte {
	frame := []byte{finBinary}
	if n := len(payload); n < length16 {
		frame = append(frame, byte(n))
	} else {
		frame = binary.BigEndian.AppendUint16(append(frame, length16), uint16(n))
	}
	if !fromClient {
		return append(frame, payload...)
	}
	frame[1] |= masked
	frame = append(frame, mask[:]...)
	for i, c := range payload {
		frame = append(frame, c^mask[i%4])
	}
	return frame
}

// ParseFrame reads a frame and unmasks its payload in place. The size is 0 while the frame is not complete.
func ParseFrame(b []byte) (payload []byte, size int, err error) {
	if len(b) < 2 {
		return nil, 0, nil
	}
	if b[0] != finBinary {
		return nil, 0, errFrame
	}
	n, at := int(b[1]&^masked), 2
	switch {
	case n > length16:
		return nil, 0, errFrame
	case n == length16:
		if len(b) < 4 {
			return nil, 0, nil
		}
		n, at = int(binary.BigEndian.Uint16(b[2:])), 4
	}
	var key []byte
	if b[1]&masked != 0 {
		at += 4
		if len(b) >= at {
			key = b[at-4 : at]
		}
	}
	if len(b) < at+n {
		return nil, 0, nil
	}
	payload = b[at : at+n]
	if key != nil {
		for i := range payload {
			payload[i] ^= key[i%4]
		}
	}
	return payload, at + n, nil
}
