package wire

import (
	"errors"
	"strings"
	"testing"
)

func TestParseResponse(t *testing.T) {
	tests := []struct {
		in   string
		want Head
	}{
		{"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nbody", Head{Size: 40, Status: 200, Length: 100}},
		{"HTTP/1.1 200\r\ncontent-length:7 \r\n\r\n", Head{Size: 35, Status: 200, Length: 7}},
		{"HTTP/1.1 503 No\r\nConnection: Close\r\n\r\n", Head{Size: 38, Status: 503, Length: -1, Close: true}},
		{"HTTP/1.0 204 No\r\n\r\n", Head{Size: 19, Status: 204, Length: -1, Close: true}},
		{"HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n", Head{Size: 59, Status: 101, Length: -1, Upgraded: true}},
		{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", Head{Size: 47, Status: 200, Length: -1, Chunked: true}},
	}
	for _, tt := range tests {
		got, err := ParseResponse([]byte(tt.in))
		if err != nil {
			t.Errorf("%q: %v", tt.in, err)
			continue
		}
		if got.Size != tt.want.Size || got.Status != tt.want.Status || got.Length != tt.want.Length ||
			got.Close != tt.want.Close || got.Upgraded != tt.want.Upgraded || got.Chunked != tt.want.Chunked {
			t.Errorf("%q: got %+v, want %+v", tt.in, got, tt.want)
		}
	}
}

// However the bytes arrive, a head is incomplete until its last byte, and then the same.
func TestParseInPieces(t *testing.T) {
	const in = "HTTP/1.1 200 OK\r\nDate: now\r\nContent-Length: 3\r\n\r\n"
	for n := range len(in) {
		if h, err := ParseResponse([]byte(in[:n])); err != nil || h.Size != 0 {
			t.Fatalf("%d bytes of %d: size %d, error %v", n, len(in), h.Size, err)
		}
	}
	if h, err := ParseResponse([]byte(in)); err != nil || h.Size != len(in) || h.Length != 3 {
		t.Fatalf("got %+v, %v", h, err)
	}
}

func TestParseRequest(t *testing.T) {
	h, err := ParseRequest([]byte("POST /100/5/1 HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"))
	if err != nil || string(h.Method) != "POST" || string(h.Path) != "/100/5/1" || h.Length != 5 || h.Size != 54 {
		t.Fatalf("got %+v, %v", h, err)
	}
}

func TestMalformedHeads(t *testing.T) {
	for _, in := range []string{
		"HTTP/1.1 2x0 OK\r\n\r\n", "HTTP/2 200\r\n\r\n", "no\r\n\r\n", "HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 1e9\r\n\r\n",
		"HTTP/1.1 200 OK\r\n: empty\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\n",
	} {
		if h, err := ParseResponse([]byte(in)); err == nil {
			t.Errorf("%q: got %+v, want an error", in, h)
		}
	}
	if _, err := ParseRequest([]byte("GET /\r\n\r\n")); err == nil {
		t.Error("a request line without a version was read")
	}
	if _, err := ParseResponse([]byte(strings.Repeat("x", maxHead+1))); !errors.Is(err, ErrHeadTooLong) {
		t.Errorf("got %v for a head without an end", err)
	}
}

func FuzzParseResponse(f *testing.F) {
	f.Add([]byte("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n"))
	f.Add([]byte("\r\n\r\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if h, err := ParseResponse(b); err == nil && (h.Size < 0 || h.Size > len(b) || h.Length < -1) {
			t.Errorf("%q: got %+v", b, h)
		}
	})
}
