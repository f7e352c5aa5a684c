package lbproxy

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/caddylb/caddy-lb/internal/syntax"
	"github.com/caddylb/caddy-lb/internal/tunnel"
)

// errConnect is a CONNECT that opens no WebSocket.
var errConnect = errors.New("CONNECT asks for a tunnel, which a gateway does not open")

// unfit is the failure of a request that no backend can be sent as one clear message. net/http's
// parsers let it through. A connection of HTTP/1.1 ends with it: whoever sent this may see the next
// request elsewhere.
func (ex *exchange) unfit() *failure {
	r := ex.in
	var f *failure
	if r.Method == http.MethodConnect && !tunnel.Is(r) {
		// Whatever follows on the connection may be meant for the tunnel (RFC 9110, section 9.3.6).
		f = newFailure(causeRequest, errConnect)
		f.status = http.StatusNotImplemented
	} else if err := cmp.Or(checkTarget(r), checkLength(r)); err != nil {
		f = newFailure(causeRequest, err)
	}
	if f != nil && (r.ProtoMajor == 1 || r.Method == "PRI") { // net/http takes the preface of HTTP/2 for a request of HTTP/1.1
		ex.w.Header().Set("Connection", "close")
	}
	return f
}

// checkTarget checks what a client may choose in a request's target and Host (RFC 9112, section
// 3.2; RFC 9110, section 4.2).
func checkTarget(r *http.Request) error {
	u := r.URL
	for i := range len(u.RawQuery) {
		if !syntax.IsTargetChar(u.RawQuery[i]) {
			return errors.New("the query has white space or control characters")
		}
	}
	switch {
	case u.Opaque != "":
		return fmt.Errorf("the target %.64q is neither a path nor an http URL", r.RequestURI)
	case u.Path == "*" && r.Method != http.MethodOptions:
		return fmt.Errorf("the target * is for OPTIONS, not for %.32s", r.Method)
	case !syntax.IsHost(r.Host):
		return fmt.Errorf("the host %.64q is not valid", r.Host)
	case u.Scheme == "" && u.Host == "":
		return nil
	case !strings.EqualFold(u.Scheme, "http") && !strings.EqualFold(u.Scheme, "https"):
		return fmt.Errorf("the scheme %.32q of the target is not http", u.Scheme)
	case u.Hostname() == "":
		return fmt.Errorf("the target %.64q has no host", r.RequestURI)
	}
	return nil
}

// checkLength checks the lengths that a request of HTTP/2 or HTTP/3 announces (RFC 9110, section
// 8.6). Their servers take the first one, one that is no number for none, and any for none of a
// stream without data.
func checkLength(r *http.Request) error {
	if r.ProtoMajor < 2 {
		return nil
	}
	values := r.Header["Content-Length"]
	for _, v := range values {
		if n, err := strconv.ParseUint(v, 10, 63); err != nil || v != values[0] || n > 0 && r.ContentLength == 0 {
			return fmt.Errorf("the length %.32q is not valid", v)
		}
	}
	return nil
}

// trimValues removes white space around values, which HTTP/2 does not have (RFC 9113, section
// 8.2.1), but lets through.
func trimValues(header http.Header) {
	for _, values := range header {
		for i, v := range values {
			values[i] = syntax.TrimBlanks(v)
		}
	}
}
