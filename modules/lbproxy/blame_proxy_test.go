package lbproxy

import (
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/caddylb/caddy-lb/modules/filter"
)

// proxyCases are ends that are this proxy's doing, or its configuration's.
func proxyCases() (cases []blameCase) {
	const post = "POST /?a=b%0ac HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody"
	for name, way := range map[string]blameCase{"engine": {}, "module": {handler: `,` + byModule}, "HTTP/2": {upstreams: h2cBackend}} {
		add := func(what, handler string, probe func(*probeBehaviour)) {
			c := way
			c.name, c.cause, c.probe, c.send = name+", "+what, causeConfig, probe, sends(post)
			c.handler = strings.TrimPrefix(handler+way.handler, ",")
			cases = append(cases, c)
		}
		add("header_up value", `"headers":{"request":{"set":{"X-A":["{http.request.uri.query.a}"]}}}`, nil)
		add("header_up name", `"headers":{"request":{"set":{"X A":["b"]}}}`, nil)
		add("method", `"rewrite":{"method":"A B"}`, nil)
		add("Host", `"headers":{"request":{"set":{"Host":["a b"]}}}`, nil)
		add("a filter of the request", "", func(b *probeBehaviour) {
			b.upstreamRequest = func(_ *filter.Context, r *http.Request) error { r.Header["X"] = []string{"a\x00"}; return nil }
		})
	}
	cases = append(cases,
		blameCase{
			name: "an upgrade to a backend of HTTP/2", cause: causeConfig, upstreams: h2cBackend,
			send: sends("GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"),
		},
		blameCase{
			name: "an address that is none", cause: causeConfig, untried: true, send: sends(plainGet),
			upstreams: func(*testing.T) string { return `"upstreams":[{"dial":"{http.request.header.X}"}]` },
		},
		blameCase{
			name: "request_buffers", cause: causeIncremental, untried: true, handler: `"request_buffers":1000`,
			send: sends("POST / HTTP/1.1\r\nHost: a\r\nIncremental: ?1\r\nContent-Length: 4\r\n\r\nbody"),
		},
	)
	return append(append(cases, filterCases(post)...), limitCase())
}

// filterCases are filters that fail.
func filterCases(post string) (cases []blameCase) {
	broken := errors.New("broken")
	filters := map[string]struct {
		probe   func(*probeBehaviour)
		untried bool
		begun   bool
	}{
		"selected": {probe: func(b *probeBehaviour) { b.selected = func(*filter.Context) error { return broken } }, untried: true},
		"upstream request": {probe: func(b *probeBehaviour) {
			b.upstreamRequest = func(*filter.Context, *http.Request) error { return broken }
		}, untried: true},
		"connected": {probe: func(b *probeBehaviour) { b.connected = func(filter.Connection) error { return broken } }},
		"request body": {probe: func(b *probeBehaviour) {
			b.requestBody = func(io.ReadCloser) (io.ReadCloser, error) { return failing{broken}, nil }
		}},
		"request body, too short": {probe: func(b *probeBehaviour) {
			b.requestBody = func(body io.ReadCloser) (io.ReadCloser, error) { return shortened{body}, nil }
		}},
		"request body, late": {probe: func(b *probeBehaviour) {
			b.requestBody = func(io.ReadCloser) (io.ReadCloser, error) { return failing{os.ErrDeadlineExceeded}, nil }
		}},
		"response body": {begun: true, probe: func(b *probeBehaviour) {
			b.responseBody = func(io.ReadCloser) (io.ReadCloser, error) { return failing{broken}, nil }
		}},
		"trailers": {begun: true, probe: func(b *probeBehaviour) { b.trailers = func(http.Header) error { return broken } }},
	}
	for name, f := range filters {
		c := blameCase{name: name, cause: causeFilter, probe: f.probe, untried: f.untried, once: f.begun, send: sends(post)}
		if f.begun {
			c.status, c.send, c.upstreams = http.StatusOK, begun(post), of(echoBackend)
		}
		cases = append(cases, c)
	}
	return cases
}

// begun sends a request whose answer may break off before it has begun to come.
func begun(request string) func(t *testing.T, p *proxy) int {
	return func(t *testing.T, p *proxy) int {
		if status := sends(request)(t, p); status != 0 {
			return status
		}
		return http.StatusOK
	}
}

// shortened is a body that ends a byte early.
type shortened struct{ io.ReadCloser }

// Read implements io.Reader.
func (s shortened) Read(p []byte) (int, error) {
	n, err := s.ReadCloser.Read(p)
	if err == io.EOF && n > 0 {
		n--
	}
	return n, err
}

// failing is a body that cannot be read.
type failing struct{ err error }

// Read implements io.Reader.
func (f failing) Read([]byte) (int, error) { return 0, f.err }

// Close implements io.Closer.
func (failing) Close() error { return nil }

// limitCase is a request for which there is no connection left.
func limitCase() blameCase {
	return blameCase{
		name: "connections", cause: causeLimit, balance: `,"limits":{"connections":1}`,
		upstreams: of(func(t *testing.T) string {
			return startBackend(t, func(w http.ResponseWriter, r *http.Request) {
				_ = http.NewResponseController(w).Flush()
				if r.URL.Path == "/long" {
					<-r.Context().Done()
				}
			}).URL
		}),
		send: func(t *testing.T, p *proxy) int {
			conn, r := p.raw("GET /long HTTP/1.1\r\nHost: a\r\n\r\n")
			if _, err := http.ReadResponse(r, nil); err != nil {
				t.Error(err)
			}
			defer func() {
				_ = conn.(*net.TCPConn).SetLinger(0)
				_ = conn.Close()
			}()
			return sends(plainGet)(t, p)
		},
	}
}
