package lbproxy

import (
	"net/http"
	"net/textproto"
	"slices"
	"strings"
)

// isHopByHop reports whether a field concerns one connection only (RFC 9110, section 7.6.1). So do
// three that a proxy must not pass on for what they say about one hop: Alt-Svc, HTTP2-Settings and
// Proxy-Connection.
func isHopByHop(field string) bool {
	switch field {
	case "Alt-Svc", "Connection", "Http2-Settings", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization",
		"Proxy-Connection", "Te", "Trailer", "Transfer-Encoding", "Upgrade":
		return true
	}
	return false
}

// removeHopByHop deletes the fields that concern one connection only, those that Connection nominates included.
func removeHopByHop(header http.Header) {
	eachNominated(header, func(field string) { delete(header, field) })
	for field := range header {
		if isHopByHop(field) {
			delete(header, field)
		}
	}
}

// eachNominated calls f with the canonical name of each field that Connection nominates.
func eachNominated(header http.Header, f func(field string)) {
	for _, list := range header["Connection"] {
		for name := range strings.SplitSeq(list, ",") {
			if name = textproto.TrimString(name); name != "" {
				f(textproto.CanonicalMIMEHeaderKey(name))
			}
		}
	}
}

// endToEnd reports whether a field is passed on; nominated are those that Connection names.
func endToEnd(field string, nominated []string) bool {
	return !isHopByHop(field) && !slices.Contains(nominated, field)
}

// addEndToEnd adds to dst what is passed on of src. The slices of src are shared where dst has no such field.
func addEndToEnd(dst, src http.Header) {
	var nominated []string
	eachNominated(src, func(field string) { nominated = append(nominated, field) })
	for field, values := range src {
		if !endToEnd(field, nominated) {
			continue
		}
		addValues(dst, field, values)
	}
}

// addAll adds everything of src to dst, in the same way.
func addAll(dst, src http.Header) {
	for field, values := range src {
		addValues(dst, field, values)
	}
}

func addValues(dst http.Header, field string, values []string) {
	if prior, ok := dst[field]; ok {
		dst[field] = append(prior, values...)
	} else {
		dst[field] = values
	}
}
