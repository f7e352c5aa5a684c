package lbproxy

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"golang.org/x/net/http2"
)

// The transport for HTTP/2 sends a request again by itself when its stream was refused. It has
// closed the body before, while the client paused.
func TestRefusedStreamGetsThePausedBodyAgain(t *testing.T) {
	refused := make(chan struct{})
	got := make(chan string, 1)
	refusing := rawBackend(t, func(conn net.Conn, r *bufio.Reader) {
		_, _ = io.CopyN(io.Discard, r, int64(len(http2.ClientPreface)))
		framer := http2.NewFramer(conn, r)
		_ = framer.WriteSettings()
		var body strings.Builder
		for first := uint32(0); ; {
			f, err := framer.ReadFrame()
			if err != nil {
				return
			}
			data, ok := f.(*http2.DataFrame)
			if !ok {
				continue
			}
			if first == 0 {
				first = data.StreamID
				_ = framer.WriteRSTStream(first, http2.ErrCodeRefusedStream)
			}
			if data.StreamID == first {
				continue
			}
			if body.Len() == 0 {
				close(refused)
			}
			body.Write(data.Data())
			if data.StreamEnded() {
				got <- body.String()
				_ = framer.WriteHeaders(http2.HeadersFrameParam{
					StreamID: data.StreamID, BlockFragment: []byte{0x88}, EndHeaders: true, EndStream: true, // :status 200
				})
			}
		}
	})
	p := startProxy(t, fmt.Sprintf(`"upstreams":[{"dial":%q,"scheme":"h2c"}]`, refusing), h2cToo)
	p.client = h2cClient(t)
	body, client := io.Pipe()
	answered := make(chan struct{})
	go func() {
		_, _ = io.WriteString(client, "first ")
		select {
		case <-refused:
		case <-answered:
		}
		_, _ = io.WriteString(client, "second")
		_ = client.Close()
	}()
	answer := p.send(http.MethodPost, "/", body)
	close(answered)
	if answer.status != http.StatusOK {
		t.Fatalf("got %d", answer.status)
	}
	if b := <-got; b != "first second" {
		t.Errorf("the backend got %q", b)
	}
}
