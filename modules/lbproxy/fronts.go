package lbproxy

import (
	"net/http"
	"slices"
	"sync"

	"golang.org/x/net/http/httpguts"

	"github.com/caddylb/caddy-lb/internal/h1server"
)

// fronts are those of all configurations.
var fronts frontRegistry

// frontRegistry knows the fronts that run, the latest last, and those that have connections left.
type frontRegistry struct {
	mu      sync.Mutex
	running []*front
	ending  []*h1server.Server
}

// enter adds a front.
func (r *frontRegistry) enter(f *front) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.running = append(r.running, f)
}

// next is the latest front that can go on with the connections of f; nil when there is none.
func (r *frontRegistry) next(f *front) *front {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, other := range slices.Backward(r.running) {
		if other != f && f.likes != "" && other.likes == f.likes {
			return other
		}
	}
	return nil
}

// listens reports whether there is another front with the addresses of f, to which its new connections can go.
func (r *frontRegistry) listens(f *front) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.ContainsFunc(r.running, func(other *front) bool {
		return other != f && slices.Equal(other.server.Listen, f.server.Listen)
	})
}

// leave removes a front whose engine is about to be drained.
func (r *frontRegistry) leave(f *front, engine *h1server.Server) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.remove(f)
	r.ending = slices.DeleteFunc(r.ending, func(e *h1server.Server) bool { return e.Connections() == 0 })
	r.ending = append(r.ending, engine)
}

// drop removes a front whose configuration ends, if it is there.
func (r *frontRegistry) drop(f *front) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.remove(f)
}

func (r *frontRegistry) remove(f *front) {
	r.running = slices.DeleteFunc(r.running, func(other *front) bool { return other == f })
}

// draining are the engines that may have connections left.
func (r *frontRegistry) draining() []*h1server.Server {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.ending)
}

// closeOld has the connection of an HTTP/1.0 request end that says both "keep-alive" and "close".
// The latter counts (RFC 9112, section 9.3), but net/http goes by the former.
func closeOld(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ProtoMajor == 1 && r.ProtoMinor == 0 && r.Close &&
			httpguts.HeaderValuesContainsToken(r.Header["Connection"], "keep-alive") {
			w.Header().Set("Connection", "close")
		}
		next.ServeHTTP(w, r)
	})
}
