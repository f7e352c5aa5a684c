package caddytest

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"syscall"
	"time"

	"github.com/coder/websocket"
)

// lostConnection reports whether a connection ended without an answer.
func lostConnection(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) ||
		errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNREFUSED)
}

// socket opens a WebSocket and has messages sent back.
func (k *soak) socket(kind string, c *http.Client) {
	x := k.begin(kind, k.web)
	defer x.leave()
	conn, _, err := websocket.Dial(x.ctx, k.URL("PORT", "/socket?nonce="+x.nonce), &websocket.DialOptions{HTTPClient: c})
	if err != nil {
		x.end(err, "")
		return
	}
	defer conn.CloseNow()
	for i := range rand.IntN(20) {
		message := fmt.Sprint(x.nonce, i, soakBody(x.nonce, rand.IntN(3000)))
		if err := conn.Write(x.ctx, websocket.MessageText, []byte(message)); err != nil {
			x.end(err, "")
			return
		}
		_, got, err := conn.Read(x.ctx)
		if err != nil {
			x.end(err, "")
			return
		}
		if string(got) != message {
			x.end(nil, fmt.Sprintf("%.40q came back as %.40q", message, got))
			return
		}
	}
	x.end(conn.Close(websocket.StatusNormalClosure, ""), "")
}

// resetUpload leaves in the middle of its body, with a reset.
func (k *soak) resetUpload(kind string, _ *http.Client) {
	x := k.begin(kind, k.web)
	defer x.leave()
	k.pause(time.Duration(rand.IntN(20)) * time.Millisecond)
	conn, err := net.Dial("tcp", "127.0.0.1:"+k.vars["PORT"])
	if err != nil {
		x.fresh.Store(true)
		x.end(err, "")
		return
	}
	defer conn.Close()
	_ = conn.(*net.TCPConn).SetLinger(0)
	_, _ = fmt.Fprintf(conn, "POST /upload?nonce=%s HTTP/1.1\r\nHost: a.test\r\nContent-Length: 100000\r\n\r\n%s", x.nonce, soakBody(x.nonce, rand.IntN(60000)))
	k.pause(time.Duration(rand.IntN(5)) * time.Millisecond)
	x.end(nil, "")
}
