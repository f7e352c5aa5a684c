package lbproxy

import (
	"net/http"
	"strings"

	"go.uber.org/zap/zapcore"

	"github.com/caddylb/caddy-lb/internal/h1"
	"github.com/caddylb/caddy-lb/internal/syntax"
)

// isPlain reports whether the request goes to backends as it came, except for the fields that every proxy removes and adds, and
// nobody looks at what is sent. The engine then writes it from the client's request, and no copy is made. Most requests are
// like that.
func (ex *exchange) isPlain() bool {
	h, r := ex.h, ex.in
	return h.plain && !h.logger.Core().Enabled(zapcore.DebugLevel) &&
		r.ContentLength == 0 && len(r.Trailer) == 0 && // no body: servers say -1 when they do not know, and Caddy wraps an empty one
		r.Method != http.MethodConnect && r.Host != "" && r.URL.Host == "" && r.URL.Opaque == "" && r.URL.Scheme == "" && r.URL.Path != "*" && syntax.IsHost(r.Host) &&
		!has(r.Header, "Te") && !has(r.Header, "Via") && !has(r.Header, "Expect") && isUsualConnection(r.Header["Connection"]) &&
		(r.ProtoMajor == 1 || !has(r.Header, "Content-Length")) && (r.TLS == nil || r.TLS.HandshakeComplete)
}

func has(header http.Header, field string) bool {
	_, ok := header[field]
	return ok
}

// isUsualConnection reports whether a Connection field only says whether the connection stays open.
func isUsualConnection(values []string) bool {
	switch len(values) {
	case 0:
		return true
	case 1:
		return strings.EqualFold(values[0], "keep-alive") || strings.EqualFold(values[0], "close")
	}
	return false
}

// editHeader notes what a plain request's header is sent with. It reports false when the peer's address is not known, so that more
// has to go than what is replaced.
func (ex *exchange) editHeader() bool {
	known := ex.forwardedFields(ex.in.Header, func(field, value string) {
		ex.added[ex.numAdded] = h1.Field{Name: field, Value: value}
		ex.numAdded++
	})
	ex.added[ex.numAdded] = h1.Field{Name: "Via", Value: viaValue(ex.in.ProtoMajor, ex.in.ProtoMinor)}
	ex.numAdded++
	return known
}

// Omits implements [h1.Edit]: what concerns the client's connection only, and what is replaced.
func (ex *exchange) Omits(name string) bool {
	if isHopByHop(name) {
		return true
	}
	for i := range ex.numAdded {
		if ex.added[i].Name == name {
			return true
		}
	}
	return false
}

// Added implements [h1.Edit].
func (ex *exchange) Added() []h1.Field { return ex.added[:ex.numAdded] }
