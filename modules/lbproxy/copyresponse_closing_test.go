package lbproxy

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/caddyserver/caddy/v2"
)

func init() { caddy.RegisterModule(closingTransport{}) }

// closingTransport answers every request itself, with a body that counts how often it is closed.
type closingTransport struct{}

func (closingTransport) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.reverse_proxy.transport.lb_proxy_closing", New: func() caddy.Module { return new(closingTransport) }}
}

var bodiesMade, bodiesClosed atomic.Int32

func (closingTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	bodiesMade.Add(1)
	body := io.Reader(strings.NewReader("body"))
	if r.URL.Path == "/broken" {
		body = io.MultiReader(body, failingReader{errors.New("broken off")})
	}
	return &http.Response{
		StatusCode: 200, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: make(http.Header), ContentLength: 4, Request: r,
		Body: struct {
			io.Reader
			io.Closer
		}{body, closer(func() { bodiesClosed.Add(1) })},
	}, nil
}

type closer func()

func (c closer) Close() error { c(); return nil }

func TestAnswersBodyIsClosedOnce(t *testing.T) {
	for name, members := range map[string]string{
		"plain":            ``,
		"copied":           `,"handle_response":[{"routes":[{"handle":[{"handler":"copy_response","status_code":201}]}]}]`,
		"headers":          `,"handle_response":[{"routes":[{"handle":[{"handler":"copy_response_headers"}]}]}]`,
		"replaced":         `,"handle_response":[{"routes":[{"handle":[{"handler":"static_response"}]}]}]`,
		"failed":           `,"handle_response":[{"routes":[{"handle":[{"handler":"error"}]}]}]`,
		"bad status":       `,"handle_response":[{"routes":[{"handle":[{"handler":"copy_response","status_code":"{x}"}]}]}]`,
		"other status":     `,"handle_response":[{"status_code":"202"}]`,
		"bad other status": `,"handle_response":[{"status_code":"{x}"}]`,
		"buffered":         `,"response_buffers":100,"handle_response":[{"routes":[{"handle":[{"handler":"copy_response"}]}]}]`,
	} {
		t.Run(name, func(t *testing.T) {
			p := startProxy(t, upstreams("127.0.0.1:1")+`,"transport":{"protocol":"lb_proxy_closing"}`+members)
			for _, path := range []string{"/", "/broken"} {
				bodiesMade.Store(0)
				bodiesClosed.Store(0)
				res, err := p.client.Get(p.url(path))
				for err != nil && bodiesMade.Load() == 0 {
					res, err = p.client.Get(p.url(path)) // the connection was lost with a listener
				}
				if err == nil {
					_, _ = io.Copy(io.Discard, res.Body)
					_ = res.Body.Close()
				}
				// The answer may be there before the handler returns; after that, nothing is left to be closed.
				eventually(t, "closed body", func() bool { return bodiesClosed.Load() > 0 })
				if err := caddy.Stop(); err != nil {
					t.Fatal(err)
				}
				if n := bodiesClosed.Load(); n != 1 {
					t.Errorf("%s: closed %d times", path, n)
				}
				p.load(upstreams("127.0.0.1:1") + `,"transport":{"protocol":"lb_proxy_closing"}` + members)
			}
		})
	}
}
