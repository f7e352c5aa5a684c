package client

import (
	"bufio"
	"bytes"
	"errors"
	"net"
	"net/http"
	"time"

	"github.com/caddylb/caddy-lb/bench/internal/chaos/fleet"
	"github.com/caddylb/caddy-lb/bench/internal/wire"
)

type webSocket struct {
	net.Conn
	r   *bufio.Reader
	buf []byte
}

func dialWebSocket(addr string, timeout time.Duration) (*webSocket, Outcome) {
	nc, err := net.DialTimeout("tcp", addr, timeout)
	if err != nil {
		return nil, failure(err, Refused)
	}
	ws := &webSocket{Conn: nc, r: bufio.NewReader(nc)}
	req, err := http.NewRequest(http.MethodGet, "http://"+host+fleet.WebSocketPath, http.NoBody)
	if err != nil {
		return nil, Refused
	}
	for field, value := range map[string]string{
		"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
	} {
		req.Header.Set(field, value)
	}
	_ = nc.SetDeadline(time.Now().Add(timeout))
	if err := req.Write(nc); err != nil {
		nc.Close()
		return nil, failure(err, Cut)
	}
	resp, err := http.ReadResponse(ws.r, req)
	if err != nil {
		nc.Close()
		return nil, failure(err, Cut)
	}
	if resp.StatusCode != http.StatusSwitchingProtocols {
		resp.Body.Close()
		nc.Close()
		return nil, Status
	}
	return ws, OK
}

// exchange sends a message and reads it back.
func (ws *webSocket) exchange(message []byte, timeout time.Duration) error {
	_ = ws.SetDeadline(time.Now().Add(timeout))
	if _, err := ws.Write(wire.Frame(message, true)); err != nil {
		return err
	}
	chunk := make([]byte, 4<<10)
	for {
		payload, size, err := wire.ParseFrame(ws.buf)
		if err != nil {
			return err
		}
		if size > 0 {
			if !bytes.Equal(payload, message) {
				return errors.New("another message came back")
			}
			ws.buf = ws.buf[size:]
			return nil
		}
		n, err := ws.r.Read(chunk)
		if err != nil {
			return err
		}
		ws.buf = append(ws.buf, chunk[:n]...)
	}
}
