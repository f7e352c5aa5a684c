package h1server

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"time"
)

// Errors in reading a request, besides those of the connection.
var (
	errTooLarge     = errors.New("the request's header is too large")
	errLongTrailers = errors.New("the fields behind the request's body are too long")

	errVersion  = &statusError{http.StatusHTTPVersionNotSupported, "unsupported protocol version"}
	errNoHost   = &statusError{http.StatusBadRequest, "missing required Host header"}
	errBadHost  = &statusError{http.StatusBadRequest, "malformed Host header"}
	errBadName  = &statusError{http.StatusBadRequest, "invalid header name"}
	errBadValue = &statusError{http.StatusBadRequest, "invalid header value"}
)

// statusError is a request that is refused with this status.
type statusError struct {
	code int
	text string
}

// Error implements error.
func (e *statusError) Error() string {
	return fmt.Sprintf("%d %s: %s", e.code, http.StatusText(e.code), e.text)
}

// refuse answers a request that cannot be read, unless the connection has failed, in the words of net/http.
func (c *conn) refuse(err error) {
	const fields = "\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n"
	answer := "400 Bad Request" + fields + "400 Bad Request"
	var status *statusError
	switch {
	case isConnectionError(err):
		return
	case errors.Is(err, errTooLarge):
		answer = "431 Request Header Fields Too Large" + fields + "431 Request Header Fields Too Large"
	case isUnsupportedCoding(err):
		answer = "501 Not Implemented" + fields + "Unsupported transfer encoding"
	case errors.As(err, &status):
		answer = status.Error() + fields + status.Error()
	}
	_ = c.nc.SetWriteDeadline(time.Now().Add(lingerTime))
	if _, failure := io.WriteString(c.nc, "HTTP/1.1 "+answer); failure == nil {
		c.linger() // there may be more of the request
	}
}

// isConnectionError reports whether there is nobody to answer to.
func isConnectionError(err error) bool {
	var op *net.OpError
	return err == io.EOF || errors.Is(err, os.ErrDeadlineExceeded) || errors.As(err, &op)
}

// isUnsupportedCoding reports whether net/http has met a transfer coding other than chunked, of which it tells in words only.
func isUnsupportedCoding(err error) bool {
	text := err.Error()
	return strings.HasPrefix(text, "unsupported transfer encoding") || strings.HasPrefix(text, "too many transfer encodings")
}
