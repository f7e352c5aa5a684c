package filter

import (
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/headers"
)

// RemoveTrailers removes the trailers whose fields ops remove from a header, or set in it: whoever
// adds trailers to the header would find there again what was removed. trailer and ops may be nil.
func RemoveTrailers(trailer http.Header, ops *headers.HeaderOps, repl *caddy.Replacer) {
	if ops == nil || len(trailer) == 0 {
		return
	}
	remove := headers.HeaderOps{Delete: ops.Delete}
	remove.ApplyTo(trailer, repl)
	for field := range ops.Set {
		trailer.Del(repl.ReplaceKnown(field, ""))
	}
}

// removeAnnounced is RemoveTrailers for the names that a header announces. A server sends a field
// that is announced with the trailers alone, wherever it was set.
func removeAnnounced(header http.Header, ops *headers.HeaderOps, repl *caddy.Replacer) {
	lists := header["Trailer"]
	if len(lists) == 0 {
		return
	}
	names := make(http.Header)
	for _, list := range lists {
		for name := range strings.SplitSeq(list, ",") {
			names[http.CanonicalHeaderKey(strings.TrimSpace(name))] = nil
		}
	}
	RemoveTrailers(names, ops, repl)
	if len(names) == 0 {
		delete(header, "Trailer")
		return
	}
	header["Trailer"] = []string{strings.Join(slices.Sorted(maps.Keys(names)), ", ")}
}
