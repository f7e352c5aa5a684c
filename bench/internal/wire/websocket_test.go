package wire

import (
	"bytes"
	"testing"
)

func TestFrames(t *testing.T) {
	for _, n := range []int{0, 1, 125, 126, 300, 65535} {
		for _, fromClient := range []bool{false, true} {
			payload := bytes.Repeat([]byte("ab"), n)[:n]
			frame := Frame(payload, fromClient)
			for cut := range min(len(frame), 20) {
				if _, size, err := ParseFrame(bytes.Clone(frame[:cut])); size != 0 || err != nil {
					t.Fatalf("%d of %d bytes: size %d, error %v", cut, len(frame), size, err)
				}
			}
			got, size, err := ParseFrame(append(bytes.Clone(frame), "next"...))
			if err != nil || size != len(frame) || !bytes.Equal(got, payload) {
				t.Fatalf("%d bytes, from a client %v: size %d of %d, error %v", n, fromClient, size, len(frame), err)
			}
			if fromClient && n > 3 && bytes.Contains(frame, payload) {
				t.Fatalf("%d bytes of a client are not masked", n)
			}
		}
	}
}

// The example of RFC 6455, section 5.7, made binary.
func TestFrameBytes(t *testing.T) {
	if got := Frame([]byte("Hello"), false); string(got) != "\x82\x05Hello" {
		t.Fatalf("got %q", got)
	}
	payload, size, err := ParseFrame([]byte("\x82\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"))
	if string(payload) != "Hello" || size != 11 || err != nil {
		t.Fatalf("got %q, %d, %v", payload, size, err)
	}
	if _, _, err := ParseFrame([]byte("\x88\x00")); err == nil {
		t.Fatal("a close frame was taken for a message")
	}
}
