package healthcheck

import (
	"context"
	"encoding/hex"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

func init() {
	caddy.RegisterModule(new(HTTP))
}

const (
	// userAgent is what checks call themselves.
	userAgent = "caddy-lb-health-check"

	defaultMaxBody = 1 << 20

	// maxRedirects bounds follow_redirects, as net/http does.
	maxRedirects = 10

	// maxHeader bounds the head of an answer.
	maxHeader = 64 << 10

	// idleTimeout closes kept connections of backends that are no longer checked.
	idleTimeout = 2 * time.Minute
)

// HTTP passes when a request is answered as expected: by default GET / with status 200. The whole answer has
// to arrive, up to MaxBody. Connections are the check's own, never those of the traffic.
type HTTP struct {
	// URI is the path and query to ask for. Default: "/".
	URI string `json:"uri,omitempty"`

	// Method is the request's method. Default: GET.
	Method string `json:"method,omitempty"`

	// Host is the Host header. Default: the backend's name and port where it has a name, else its address.
	Host string `json:"host,omitempty"`

	// Headers are added to the request. Values may hold global placeholders, and
	// {http.reverse_proxy.active.target_upstream}, the backend's address.
	Headers http.Header `json:"headers,omitempty"`

	// Body is sent with the request. It may hold global placeholders.
	Body string `json:"body,omitempty"`

	// Scheme is how to speak: "http", "https" or "h2c" (HTTP/2 in clear text, with prior knowledge). Default:
	// as the backend is spoken to.
	Scheme string `json:"scheme,omitempty"`

	// Upstream is the host:port to check in the backend's stead, an agent for example that knows of many
	// backends. The check's port is then without meaning.
	Upstream string `json:"upstream,omitempty"`

	// ExpectStatus lists the status codes to accept; one digit stands for its class, 2 for 2xx. Default: 200,
	// or any when Expect is set.
	ExpectStatus []int `json:"expect_status,omitempty"`

	// ExpectHeaders lists header fields that the answer has to bear, with one of the values given; "*" at the
	// start or end of a value stands for anything, and no value at all for any.
	ExpectHeaders http.Header `json:"expect_headers,omitempty"`

	// ExpectBody is a regular expression that has to match the body.
	ExpectBody string `json:"expect_body,omitempty"`

	// Expect is a CEL expression that has to be true of the answer:
	// {http.reverse_proxy.status_code}, {http.reverse_proxy.header.*} and {http.reverse_proxy.body}.
	Expect string `json:"expect,omitempty"`

	// FollowRedirects follows up to 10 redirects. They are asked of the same backend, whatever host they name.
	FollowRedirects bool `json:"follow_redirects,omitempty"`

	// MaxBody bounds how many bytes of the body are read and looked at. Default: 1 MiB.
	MaxBody int64 `json:"max_body,omitempty"`

	// ReuseConnection keeps the connection from one check to the next. By default each check makes a new one,
	// so that a backend whose listener is gone does not pass over an old connection.
	ReuseConnection bool `json:"reuse_connection,omitempty"`

	tlsConnector

	uri        *url.URL
	bodyRegexp *regexp.Regexp
	expression *caddyhttp.MatchExpression
	http       *http.Client // HTTP/1.1, and HTTP/2 where TLS negotiates it
	h2c        *http.Client
}

// CaddyModule returns the Caddy module information.
func (*HTTP) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: Namespace + ".http", New: func() caddy.Module { return new(HTTP) }}
}

// Provision validates the options and compiles what there is to compile.
func (c *HTTP) Provision(ctx caddy.Context) error {
	if err := c.provision(); err != nil {
		return err
	}
	if err := c.compile(ctx); err != nil {
		return err
	}
	if c.MaxBody == 0 {
		c.MaxBody = defaultMaxBody
	}
	c.http, c.h2c = c.client(false), c.client(true)
	return nil
}

// Cleanup closes connections that were kept.
func (c *HTTP) Cleanup() error {
	for _, client := range []*http.Client{c.http, c.h2c} {
		if client != nil {
			client.CloseIdleConnections()
		}
	}
	return nil
}

// Check implements [Checker].
func (c *HTTP) Check(ctx context.Context, t Target) error {
	if c.Upstream != "" {
		t.Address.Network = "tcp"
		t.Address.Host, t.Address.Port, _ = net.SplitHostPort(c.Upstream)
		t.Name = ""
	}
	if c.Scheme != "" {
		t.Address.Scheme = c.Scheme
	}
	req, err := c.request(ctx, t)
	if err != nil {
		return err
	}
	client := c.http
	if t.Address.Scheme == "h2c" {
		client = c.h2c
	}
	resp, err := client.Do(req)
	if err != nil {
		// The URL in url.Error is made up, see key.
		var wrapped *url.Error
		if errors.As(err, &wrapped) {
			err = wrapped.Err
		}
		return err
	}
	defer resp.Body.Close()
	return c.judge(req, resp)
}

// request builds the request to t.
func (c *HTTP) request(ctx context.Context, t Target) (*http.Request, error) {
	u := *c.uri
	u.Scheme, u.Host = "http", key(t)
	if t.Address.Scheme == "https" {
		u.Scheme = "https"
	}
	repl := caddy.NewReplacer()
	repl.Set("http.reverse_proxy.active.target_upstream", t.Backend.String())

	var body io.Reader
	if c.Body != "" {
		body = strings.NewReader(repl.ReplaceKnown(c.Body, ""))
	}
	req, err := http.NewRequestWithContext(context.WithValue(ctx, targetKey{}, t), c.Method, u.String(), body)
	if err != nil {
		return nil, err
	}
	req.Host = authority(t)
	req.Header.Set("User-Agent", userAgent)
	for name, values := range c.Headers {
		name = http.CanonicalHeaderKey(repl.ReplaceAll(name, ""))
		req.Header.Del(name)
		for _, v := range values {
			req.Header.Add(name, repl.ReplaceKnown(v, ""))
		}
	}
	if host := req.Header.Get("Host"); host != "" {
		req.Host = host
		req.Header.Del("Host")
	}
	if c.Host != "" {
		req.Host = repl.ReplaceKnown(c.Host, "")
	}
	return req, nil
}

// targetKey is where a request's context holds its [Target].
type targetKey struct{}

// key stands for the host in a request's URL. The transport keeps connections by it, so it tells targets
// apart that may share an address but not a server name; it is never sent nor resolved.
func key(t Target) string {
	id := strings.Join([]string{t.Address.Network, t.Address.Dial(), t.Name, t.ServerName}, "\x00")
	return "target-" + hex.EncodeToString([]byte(id))
}

// client returns a client that connects to the target in the request's context.
func (c *HTTP) client(h2c bool) *http.Client {
	var protocols http.Protocols
	if h2c {
		protocols.SetUnencryptedHTTP2(true)
	} else {
		protocols.SetHTTP1(true)
		protocols.SetHTTP2(true)
	}
	return &http.Client{
		CheckRedirect: c.redirect,
		Transport: &http.Transport{
			Protocols:              &protocols,
			DisableKeepAlives:      !c.ReuseConnection,
			DisableCompression:     true,
			MaxResponseHeaderBytes: maxHeader,
			IdleConnTimeout:        idleTimeout,
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				return c.dial(ctx, ctx.Value(targetKey{}).(Target).Address)
			},
			DialTLSContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				return c.handshake(ctx, ctx.Value(targetKey{}).(Target), "h2", "http/1.1")
			},
		},
	}
}

// redirect keeps a followed redirect with the backend: a check of one backend says nothing about another.
func (c *HTTP) redirect(req *http.Request, via []*http.Request) error {
	if !c.FollowRedirects {
		return http.ErrUseLastResponse
	}
	if len(via) >= maxRedirects {
		return errors.New("more than 10 redirects")
	}
	first := via[0]
	if req.URL.Host != first.URL.Host {
		req.Host = req.URL.Host
		req.URL.Host = first.URL.Host
	} else if req.Host == "" {
		req.Host = first.Host
	}
	return nil
}

// Interface guards.
var (
	_ Checker               = (*HTTP)(nil)
	_ Inheritor             = (*HTTP)(nil)
	_ caddy.Provisioner     = (*HTTP)(nil)
	_ caddy.CleanerUpper    = (*HTTP)(nil)
	_ caddyfile.Unmarshaler = (*HTTP)(nil)
)
