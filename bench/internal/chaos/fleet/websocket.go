package fleet

import (
	"crypto/sha1"
	"encoding/base64"
	"fmt"
	"net/http"

	"github.com/caddylb/caddy-lb/bench/internal/wire"
)

// acceptKey is the answer to a client's key (RFC 6455, section 4.2.2).
func acceptKey(key string) string {
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	return base64.StdEncoding.EncodeToString(sum[:])
}

// echo sends binary messages back until the connection ends.
func (b *Backend) echo(w http.ResponseWriter, r *http.Request) {
	conn, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer conn.Close()
	b.mu.Lock()
	hijacked := b.hijacked
	hijacked[conn] = struct{}{}
	b.mu.Unlock()
	defer func() {
		b.mu.Lock()
		delete(hijacked, conn)
		b.mu.Unlock()
	}()
	fmt.Fprintf(rw, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: %s\r\n\r\n",
		acceptKey(r.Header.Get("Sec-WebSocket-Key")))
	if rw.Flush() != nil {
		return
	}
	var buf []byte
	for chunk := make([]byte, 4<<10); ; {
		payload, size, err := wire.ParseFrame(buf)
		if err != nil {
			return
		}
		if size > 0 {
			if _, err := conn.Write(wire.Frame(payload, false)); err != nil {
				return
			}
			buf = buf[size:]
			continue
		}
		n, err := rw.Read(chunk)
		if err != nil {
			return
		}
		buf = append(buf, chunk[:n]...)
	}
}
