package lbproxy

import (
	"errors"
	"net/http"
	"time"

	"github.com/quic-go/quic-go/http3"
)

// statusClientGone is recorded when the client left before it had its answer; nobody sees it but
// the log.
const statusClientGone = 499

// recordClientGone records that the client left. One that has only closed or reset its direction
// could still read, so nothing can be written from here on, and the connection over HTTP/1 closes.
// A stream over HTTP/2 has no direction left.
func (ex *exchange) recordClientGone() {
	if ex.in.ProtoMajor != 2 {
		_ = http.NewResponseController(ex.w).SetWriteDeadline(time.Unix(1, 0))
	}
	ex.w.WriteHeader(statusClientGone)
}

// wasReset reports whether a body ended because its client reset that direction of an HTTP/3
// stream. The other direction, and the request's context, end a moment later.
func wasReset(err error) bool {
	reset, ok := errors.AsType[*http3.Error](err)
	return ok && reset.Remote
}
