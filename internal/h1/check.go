package h1

import (
	"net/http"

	"github.com/caddylb/caddy-lb/internal/syntax"
)

// CheckRequest reports why a request cannot be sent: a [*RequestError] for a method, target, host
// or field that would not be what it is in HTTP/1.1. It is nil for one that can.
func CheckRequest(r *http.Request) error {
	buf := uploadMemory.get()
	defer uploadMemory.put(buf)
	x := Exchange{Request: r}
	if _, err := appendHead((*buf)[:0], &x, false); err != nil {
		return err
	}
	return CheckTrailers(r)
}

// CheckTrailers is CheckRequest for the trailers alone, which are complete once the body was read.
func CheckTrailers(r *http.Request) error {
	for name, values := range r.Trailer {
		if !isTrailer(syntax.Canonical(name)) {
			continue
		}
		for _, v := range values {
			if err := checkLine(name, trimSpace(v)); err != nil {
				return err
			}
		}
	}
	return nil
}
