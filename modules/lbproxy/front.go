package lbproxy

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/caddylb/caddy-lb/internal/h1server"
)

// front serves the HTTP/1.1 clients of one of Caddy's servers in place of net/http, whose server costs more than the rest of a proxied
// request. Caddy has no module for that, but calls back for each connection; the first call of a server puts the front
// between net/http's server and Caddy's, where it takes over connections as their first request comes in.
type front struct {
	server *caddyhttp.Server
	likes  string // equal for servers that may serve each other's connections
	logger *zap.Logger

	engine   func() *h1server.Server // made when first asked for: the server's limits are complete only when it runs
	arrivals arrivals

	install sync.Once
	drained sync.Once
}

func newFront(server *caddyhttp.Server, logger *zap.Logger) *front {
	f := &front{server: server, likes: likeness(server), logger: logger}
	f.engine = sync.OnceValue(f.newEngine)
	server.RegisterConnContext(f.onConnection)
	server.RegisterOnShutdown(f.shutDown)
	server.RegisterOnStop(f.await)
	return f
}

// likeness is what two servers must have in common for one to go on with the other's connections: addresses, protocols, and how clients
// are secured. A connection that a client certificate was asked for ends with its configuration.
func likeness(s *caddyhttp.Server) string {
	for _, policy := range s.TLSConnPolicies {
		if policy.ClientAuthentication != nil {
			return ""
		}
	}
	p, err := json.Marshal([]any{s.Listen, s.Protocols, s.ListenProtocols, s.TLSConnPolicies, s.StrictSNIHost})
	if err != nil {
		return ""
	}
	return string(p)
}

func (f *front) newEngine() *h1server.Server {
	s := f.server
	return h1server.New(s, h1server.Options{
		ReadTimeout:       time.Duration(s.ReadTimeout),
		ReadHeaderTimeout: time.Duration(s.ReadHeaderTimeout),
		WriteTimeout:      time.Duration(s.WriteTimeout),
		IdleTimeout:       time.Duration(s.IdleTimeout),
		MaxHeaderBytes:    s.MaxHeaderBytes,
		Panicked: func(client string, value any, stack []byte) {
			f.logger.Error("panic serving a request", zap.String("client", client), zap.Any("panic", value), zap.ByteString("stack", stack))
		},
		Misused: func(text string) { f.logger.Debug(text) },
	})
}

// onConnection is called for each connection before it is served. Whoever watches over states of connections expects those of
// net/http, and gets them.
func (f *front) onConnection(ctx context.Context, _ net.Conn) context.Context {
	f.install.Do(func() {
		hs, ok := ctx.Value(http.ServerContextKey).(*http.Server)
		if !ok {
			return
		}
		if hs.ConnState != nil {
			hs.Handler = endingAmbiguous(hs.Handler)
			return
		}
		hs.ConnState = f.arrivals.note
		engine, handler := f.engine(), endingAmbiguous(closeOld(hs.Handler))
		hs.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if !engine.Adopt(w, r) {
				handler.ServeHTTP(w, r)
			}
		})
	})
	return ctx
}

// handOver has the next configuration's server go on with the connections, if there is one with the same addresses. From then on no
// request on them sees this configuration.
func (f *front) handOver() {
	if next := fronts.next(f); next != nil {
		f.drain(next.engine())
	}
}

// shutDown is called when the server begins to shut down, which may be before this suite's apps are stopped.
func (f *front) shutDown() {
	f.handOver()
	f.drain(nil)
}

func (f *front) drain(successor *h1server.Server) {
	f.drained.Do(func() {
		engine := f.engine()
		fronts.leave(f, engine)
		engine.Drain(successor)
	})
}

// await holds back the end of the process until all requests are answered, or the grace period is over.
func (f *front) await(ctx context.Context) error {
	if !caddy.Exiting() {
		return nil
	}
	f.shutDown() // net/http has it called on a goroutine that may not have run yet
	for _, engine := range fronts.draining() {
		if err := engine.Wait(ctx); err != nil {
			return err
		}
	}
	return nil
}
