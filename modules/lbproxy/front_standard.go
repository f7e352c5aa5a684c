package lbproxy

import (
	"context"
	"net"
	"net/http"
	"sync"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddylb/caddy-lb/internal/h1server"
)

// endAmbiguous has a server that net/http serves close connections after requests whose length
// net/http may have taken from one of two fields.
func endAmbiguous(server *caddyhttp.Server) {
	var install sync.Once
	server.RegisterConnContext(func(ctx context.Context, _ net.Conn) context.Context {
		install.Do(func() {
			if hs, ok := ctx.Value(http.ServerContextKey).(*http.Server); ok {
				hs.Handler = endingAmbiguous(hs.Handler)
			}
		})
		return ctx
	})
}

func endingAmbiguous(handler http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h1server.EndAfter(w, r)
		handler.ServeHTTP(w, r)
	})
}
