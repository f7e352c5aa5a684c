package lbproxy

import "net/http"

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
