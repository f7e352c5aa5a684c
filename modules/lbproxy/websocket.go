package lbproxy

import (
	"encoding/binary"
	"math/rand/v2"
	"net/http"
)

// webSocketFields maps net/http's spelling of the WebSocket fields to that of RFC 6455, which some servers
// insist on.
var webSocketFields = map[string]string{
	"Sec-Websocket-Accept":     "Sec-WebSocket-Accept",
	"Sec-Websocket-Extensions": "Sec-WebSocket-Extensions",
	"Sec-Websocket-Key":        "Sec-WebSocket-Key",
	"Sec-Websocket-Protocol":   "Sec-WebSocket-Protocol",
	"Sec-Websocket-Version":    "Sec-WebSocket-Version",
}

// normalizeWebSocketHeader spells the WebSocket fields as RFC 6455 does.
func normalizeWebSocketHeader(header http.Header) {
	for ours, theirs := range webSocketFields {
		if values, ok := header[ours]; ok {
			delete(header, ours)
			header[theirs] = values
		}
	}
}

// goingAway is the close code of a server that goes down, or of one that has a new configuration (RFC 6455,
// section 7.4.1).
const goingAway = 1001

// closeFrame is a WebSocket close frame with the code 1001 and no reason (RFC 6455, section 5.5.1). Frames to a
// server are masked.
func closeFrame(toServer bool) []byte {
	const final, opClose, mask = 0x80, 0x8, 0x80
	payload := binary.BigEndian.AppendUint16(nil, goingAway)
	if !toServer {
		return append([]byte{final | opClose, byte(len(payload))}, payload...)
	}
	key := binary.BigEndian.AppendUint32(nil, rand.Uint32())
	frame := append([]byte{final | opClose, mask | byte(len(payload))}, key...)
	for i, b := range payload {
		frame = append(frame, b^key[i%len(key)])
	}
	return frame
}
