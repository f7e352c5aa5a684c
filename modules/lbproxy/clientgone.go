package lbproxy

import (
	"net/http"
	"time"
)

// statusClientGone is recorded when the client left before it had its answer; nobody sees it but
// the log.
const statusClientGone = 499

// recordClientGone records that the client left. A client of HTTP/1 that has only closed its
// direction could still read, so nothing can be written from here on, and the connection closes.
// The streams of others are gone.
func (ex *exchange) recordClientGone() {
	if ex.in.ProtoMajor == 1 {
		_ = http.NewResponseController(ex.w).SetWriteDeadline(time.Unix(1, 0))
	}
	ex.w.WriteHeader(statusClientGone)
}
