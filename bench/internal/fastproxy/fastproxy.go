// Package fastproxy is a reverse proxy on fasthttp that does the least a proxy can: it passes a request on to the next
// of its backends, and the answer back. It is a floor for what a proxy written in Go costs.
package fastproxy

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"os"
	"sync/atomic"

	"github.com/valyala/fasthttp"
)

// Config is what the proxy is started with.
type Config struct {
	Listen    string
	Cert, Key string // PEM files; with them TLS is spoken in front
	Upstreams []string
	CA        string // PEM file; with it TLS is spoken to the backends
	// ServerName is whom the backends' certificates are for.
	ServerName string
	Sites      []string // hosts with backends of their own; one set for all of them if empty
	Idle       int      // connections to each backend
	Stream     bool     // pass bodies on in pieces instead of as a whole
}

// balancer gives requests to its backends in turn.
type balancer struct {
	turn     atomic.Uint64
	backends []*fasthttp.HostClient
}

func (b *balancer) next() *fasthttp.HostClient {
	return b.backends[b.turn.Add(1)%uint64(len(b.backends))]
}

func newBalancer(c *Config, config *tls.Config) *balancer {
	b := &balancer{}
	for _, addr := range c.Upstreams {
		b.backends = append(b.backends, &fasthttp.HostClient{
			Addr: addr, IsTLS: config != nil, TLSConfig: config, MaxConns: c.Idle,
			NoDefaultUserAgentHeader: true, DisablePathNormalizing: true, StreamResponseBody: c.Stream,
		})
	}
	return b
}

// Serve runs the proxy that a file of JSON describes. It returns when the proxy cannot go on.
func Serve(file string) error {
	data, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var c Config
	if err := json.Unmarshal(data, &c); err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	var upstream *tls.Config
	if c.CA != "" {
		pem, err := os.ReadFile(c.CA)
		if err != nil {
			return err
		}
		upstream = &tls.Config{RootCAs: x509.NewCertPool(), ServerName: c.ServerName, MinVersion: tls.VersionTLS13}
		if !upstream.RootCAs.AppendCertsFromPEM(pem) {
			return fmt.Errorf("%s holds no certificate", c.CA)
		}
	}
	server := &fasthttp.Server{
		Handler: handler(&c, upstream), NoDefaultServerHeader: true, NoDefaultDate: true, NoDefaultContentType: true,
		StreamRequestBody: c.Stream, MaxRequestBodySize: 64 << 20, Concurrency: 16384,
	}
	if c.Cert != "" {
		return server.ListenAndServeTLS(c.Listen, c.Cert, c.Key)
	}
	return server.ListenAndServe(c.Listen)
}

func handler(c *Config, upstream *tls.Config) fasthttp.RequestHandler {
	scheme := "http"
	if upstream != nil {
		scheme = "https"
	}
	all := newBalancer(c, upstream)
	sites := make(map[string]*balancer)
	for _, host := range c.Sites {
		sites[host] = newBalancer(c, upstream)
	}
	return func(ctx *fasthttp.RequestCtx) {
		b := all
		if len(sites) > 0 {
			if b = sites[string(ctx.Host())]; b == nil {
				ctx.Error("no such site", fasthttp.StatusNotFound)
				return
			}
		}
		// The request's connection to the client is not the one to the backend, and the same for the answer.
		ctx.Request.Header.Del(fasthttp.HeaderConnection)
		ctx.Request.URI().SetScheme(scheme)
		if err := b.next().Do(&ctx.Request, &ctx.Response); err != nil {
			ctx.Error(err.Error(), fasthttp.StatusBadGateway)
			return
		}
		ctx.Response.Header.Del(fasthttp.HeaderConnection)
	}
}
