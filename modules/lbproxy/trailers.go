package lbproxy

import (
	"maps"
	"net/http"
	"strings"

	"golang.org/x/net/http/httpguts"

	"github.com/caddylb/caddy-lb/modules/filter"
)

// mayTrail reports whether a field may stand behind a body (RFC 9110, section 6.5.1). What says how
// a message is framed, routed, authenticated or to be read has to be known before, and what
// concerns one connection is not passed on.
func mayTrail(field string) bool { return httpguts.ValidTrailerHeader(field) && !isHopByHop(field) }

// mayTrailRequest is mayTrail for a request. A backend may add trailers to the header, so it must
// not get there what clients are not believed to say, nor names that Caddy's server drops from the
// header: some backends take an underscore or a dot for a hyphen.
func mayTrailRequest(field string) bool {
	switch field {
	case "Cookie", "Early-Data", "Forwarded", "Via":
		return false
	}
	return mayTrail(field) && !strings.HasPrefix(field, "X-Forwarded-") && !strings.ContainsAny(field, "_.")
}

// announcedTrailer has the names of the trailers that the client announced and may send, without
// values. It is called before the body is read, as net/http adds those that come unannounced.
func announcedTrailer(r *http.Request) http.Header {
	var trailer http.Header
	for field := range r.Trailer {
		if !mayTrailRequest(field) {
			continue
		}
		if trailer == nil {
			trailer = make(http.Header, len(r.Trailer))
		}
		trailer[field] = nil
	}
	return trailer
}

// requestTrailer is what one try sends of the client's trailers: the names, whose values are filled
// in when the body was read.
func (ex *exchange) requestTrailer() http.Header {
	trailer := maps.Clone(ex.trailer)
	if h := ex.h.Headers; h != nil {
		filter.RemoveTrailers(trailer, h.Request, ex.repl)
	}
	return trailer
}

// trimTrailer removes what the client does not get of an answer's trailers.
func (ex *exchange) trimTrailer(res *http.Response) {
	for field := range res.Trailer {
		if !mayTrail(field) {
			delete(res.Trailer, field)
		}
	}
	h := ex.h.Headers
	if len(res.Trailer) == 0 || h == nil || h.Response == nil {
		return
	}
	if ops := h.Response; ops.Require == nil || ops.Require.Match(res.StatusCode, res.Header) {
		filter.RemoveTrailers(res.Trailer, ops.HeaderOps, ex.repl)
	}
}

// writeTrailers sends the answer's trailers. Those that the backend announced were announced to the client;
// others need net/http's prefix.
func writeTrailers(w http.ResponseWriter, trailer http.Header, announced int) {
	if len(trailer) == 0 {
		return
	}
	// A short body would get a Content-Length from the server, and with it there is no place for trailers.
	_ = http.NewResponseController(w).Flush()
	prefix := ""
	if len(trailer) != announced {
		prefix = http.TrailerPrefix
	}
	header := w.Header()
	for field, values := range trailer {
		for _, v := range values {
			header.Add(prefix+field, v)
		}
	}
}
