package h1

import (
	"net/http"
	"strconv"
	"strings"

	"golang.org/x/net/http/httpguts"
)

// framing is how the end of an answer's body is found (RFC 9112, section 6.3).
type framing struct {
	length  int64 // of the body; -1 when it is not known beforehand
	chunked bool
	close   bool // the connection ends with the answer
	upgrade bool // what follows is another protocol
}

// frame decides how the body of an answer to a request with the given method is framed. It removes from the header
// what contradicts the decision.
func (h *head) frame(method string) (framing, error) {
	f := framing{close: h.closes()}
	if h.status == http.StatusSwitchingProtocols || method == http.MethodConnect && h.status/100 == 2 {
		return framing{length: -1, close: true, upgrade: true}, nil
	}
	chunked, err := h.isChunked()
	if err != nil {
		return f, err
	}
	declared, err := h.contentLength()
	if err != nil {
		return f, err
	}
	delete(h.header, "Transfer-Encoding") // of this connection alone
	if chunked && declared >= 0 {
		// The length is not to be trusted, and neither is what follows the answer (RFC 9112, section 6.1).
		delete(h.header, "Content-Length")
		declared, f.close = -1, true
	}
	switch {
	case method == http.MethodHead:
		f.length = declared // that of the body that a GET would have had
	case !h.hasBody(method):
		f.length = 0
	case chunked:
		f.length, f.chunked = -1, true
	case declared >= 0:
		f.length = declared
	default:
		f.length, f.close = -1, true
	}
	return f, nil
}

// hasBody reports whether anything follows the header of the answer.
func (h *head) hasBody(method string) bool {
	return method != http.MethodHead && h.status != http.StatusNoContent && h.status != http.StatusNotModified
}

// closes reports whether the connection ends with the answer, as far as its header says (RFC 9112, section 9.3).
func (h *head) closes() bool {
	connection := h.header["Connection"]
	if len(connection) == 0 {
		return h.minor == 0
	}
	if httpguts.HeaderValuesContainsToken(connection, "close") {
		return true
	}
	return h.minor == 0 && !httpguts.HeaderValuesContainsToken(connection, "keep-alive")
}

// isChunked reads Transfer-Encoding. No coding but chunked was asked for, and HTTP/1.0 has none (RFC 9112, section
// 6.1); with anything else the end of the answer cannot be found.
func (h *head) isChunked() (bool, error) {
	codings, ok := h.header["Transfer-Encoding"]
	if !ok {
		return false, nil
	}
	if len(codings) != 1 || !strings.EqualFold(codings[0], "chunked") {
		return false, malformed("transfer coding %.64q", strings.Join(codings, ", "))
	}
	if h.minor == 0 {
		return false, malformed("a transfer coding in HTTP/1.0")
	}
	return true, nil
}

// contentLength reads Content-Length: -1 without one. Repeated fields have to agree.
func (h *head) contentLength() (int64, error) {
	values := h.header["Content-Length"]
	if len(values) == 0 {
		return -1, nil
	}
	for _, v := range values[1:] {
		if v != values[0] {
			return 0, malformed("Content-Length is %.32q and %.32q", values[0], v)
		}
	}
	n, err := strconv.ParseUint(values[0], 10, 63)
	if err != nil {
		return 0, malformed("Content-Length %.32q", values[0])
	}
	if len(values) > 1 {
		h.header["Content-Length"] = values[:1]
	}
	return int64(n), nil
}
