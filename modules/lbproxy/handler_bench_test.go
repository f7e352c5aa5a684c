package lbproxy

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

func init() { caddy.RegisterModule(cannedTransport{}) }

// cannedTransport answers without a backend, so that only the handler is measured.
type cannedTransport struct{}

func (cannedTransport) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.reverse_proxy.transport.lb_proxy_canned", New: func() caddy.Module { return new(cannedTransport) }}
}

func (*cannedTransport) RoundTrip(*http.Request) (*http.Response, error) {
	return &http.Response{
		StatusCode: 200, Status: "200 OK", Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, ContentLength: 2,
		Body: io.NopCloser(strings.NewReader("ok")),
		Header: http.Header{
			"Content-Type": {"text/plain"}, "Content-Length": {"2"}, "Date": {"now"}, "Etag": {"x"}, "Cache-Control": {"no-store"}, "X-A": {"b"},
		},
	}, nil
}

// quietWriter is a ResponseWriter that costs nothing.
type quietWriter struct{ header http.Header }

func (w *quietWriter) Header() http.Header         { return w.header }
func (w *quietWriter) Write(p []byte) (int, error) { return len(p), nil }
func (w *quietWriter) WriteHeader(int)             {}

// canned is the configuration of a handler that reaches no network.
const canned = `"upstreams":[{"dial":"127.0.0.1:1"},{"dial":"127.0.0.1:2"}],"transport":{"protocol":"lb_proxy_canned"}`

// served runs a provisioned handler of the given kind over and over.
func served(t testing.TB, module, config string) func() {
	t.Helper()
	var empty caddy.Config
	if err := json.Unmarshal([]byte(`{"admin":{"disabled":true},"apps":{}}`), &empty); err != nil {
		t.Fatal(err)
	}
	ctx, err := caddy.ProvisionContext(&empty)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := caddy.NewContext(ctx)
	t.Cleanup(cancel)
	mod, err := ctx.LoadModuleByID(module, json.RawMessage("{"+config+"}"))
	if err != nil {
		t.Fatal(err)
	}
	h := mod.(caddyhttp.MiddlewareHandler)
	w := &quietWriter{header: make(http.Header)}
	r := httptest.NewRequest("GET", "/path?q=1", http.NoBody)
	r.Body = struct{ io.ReadCloser }{http.NoBody} // Caddy puts its time limits around it
	for _, f := range []string{"Accept", "Accept-Language", "User-Agent", "Cookie", "Cache-Control", "Referer"} {
		r.Header.Set(f, "value")
	}
	return func() {
		clear(w.header)
		repl := caddy.NewEmptyReplacer()
		ctx := context.WithValue(r.Context(), caddy.ReplacerCtxKey, repl)
		ctx = context.WithValue(ctx, caddyhttp.ServerCtxKey, new(caddyhttp.Server))
		ctx = context.WithValue(ctx, caddyhttp.VarsCtxKey, map[string]any{caddyhttp.TrustedProxyVarKey: false, caddyhttp.ClientIPVarKey: "192.0.2.1"})
		if err := h.ServeHTTP(w, r.WithContext(ctx), nil); err != nil {
			t.Fatal(err)
		}
	}
}

// Budgets of allocations for a plain request, of which no copy is made. Those of the test's own count: 10 of the request's context, and 11 of
// the canned transport.
const (
	maxCannedAllocs    = 45
	maxConnectedAllocs = 10 + 14
)

func TestHandlerAllocations(t *testing.T) {
	if n := testing.AllocsPerRun(200, served(t, "http.handlers.lb_proxy", canned)); n > maxCannedAllocs {
		t.Errorf("%v allocations a request, more than %d", n, maxCannedAllocs)
	}
	if n := testing.AllocsPerRun(200, served(t, "http.handlers.lb_proxy", upstreams("http://"+frugalBackend(t)))); n > maxConnectedAllocs {
		t.Errorf("%v allocations a request over a connection, more than %d", n, maxConnectedAllocs)
	}
}

// frugalBackend answers every request alike, as far as one read brings it, and allocates nothing.
func frugalBackend(t testing.TB) (address string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	answer := []byte("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\nDate: now\r\nServer: x\r\n\r\nok")
	var open sync.WaitGroup
	open.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			open.Go(func() {
				defer conn.Close()
				buf := make([]byte, 4<<10)
				for {
					if _, err := conn.Read(buf); err != nil {
						return
					}
					if _, err := conn.Write(answer); err != nil {
						return
					}
				}
			})
		}
	})
	t.Cleanup(func() {
		ln.Close()
		open.Wait()
	})
	return ln.Addr().String()
}

// BenchmarkHandler compares with reverse_proxy: the handlers alone, and over connections to a backend.
func BenchmarkHandler(b *testing.B) {
	for name, config := range map[string]string{"alone": canned, "connected": upstreams("http://" + frugalBackend(b))} {
		for _, module := range []string{"lb_proxy", "reverse_proxy"} {
			b.Run(name+"/"+module, func(b *testing.B) {
				serve := served(b, "http.handlers."+module, config)
				b.ReportAllocs()
				for b.Loop() {
					serve()
				}
			})
		}
	}
}
