package healthcheck

import (
	"cmp"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
)

// Defaults of the reverse_proxy handler's active checks.
const (
	activeInterval = 30 * time.Second
	activeTimeout  = 5 * time.Second
)

// Active is health_checks.active of Caddy's reverse_proxy handler, field by field, so that its JSON can be read
// and written unchanged. [FromActive] turns it into a check.
type Active struct {
	// Path is the older form of URI: a path without a query.
	Path string `json:"path,omitempty"`

	// URI is the path and query to ask for.
	URI string `json:"uri,omitempty"`

	// Upstream is the host:port to check in the backend's stead. Port is then without meaning.
	Upstream string `json:"upstream,omitempty"`

	// Port is checked instead of the backend's own.
	Port int `json:"port,omitempty"`

	// Headers are added to the request.
	Headers http.Header `json:"headers,omitempty"`

	// Method is the request's method. Default: GET.
	Method string `json:"method,omitempty"`

	// Body is sent with the request.
	Body string `json:"body,omitempty"`

	// FollowRedirects follows redirects.
	FollowRedirects bool `json:"follow_redirects,omitempty"`

	// Interval is the time from one check to the next. Default: 30s.
	Interval caddy.Duration `json:"interval,omitempty"`

	// Timeout bounds the check. Default: 5s.
	Timeout caddy.Duration `json:"timeout,omitempty"`

	// Passes is how many passes in a row bring a backend back. Default: 1.
	Passes int `json:"passes,omitempty"`

	// Fails is how many failures in a row take a backend out. Default: 1.
	Fails int `json:"fails,omitempty"`

	// MaxSize bounds how many bytes of the body are read. Default: 1 MiB.
	MaxSize int64 `json:"max_size,omitempty"`

	// ExpectStatus is the status code to expect; one digit stands for its class. Default: any 2xx.
	ExpectStatus int `json:"expect_status,omitempty"`

	// ExpectBody is a regular expression that has to match the body.
	ExpectBody string `json:"expect_body,omitempty"`
}

// IsEnabled reports whether there is anything to check: a path, a URI or a port has to be set.
func (a *Active) IsEnabled() bool {
	return a != nil && (a.Path != "" || a.URI != "" || a.Port != 0)
}

// Times returns how often the check is made, and how long an answer is waited for, with their
// defaults.
func (a *Active) Times() (interval, timeout time.Duration) {
	return cmp.Or(time.Duration(a.Interval), activeInterval), cmp.Or(time.Duration(a.Timeout), activeTimeout)
}

// FromActive returns the http check that means the same as a, ready for [Config.Provision]. The caller asks
// [Active.IsEnabled] first. It fails when the URI cannot be parsed.
func FromActive(a *Active) (*Config, error) {
	uri, err := a.requestURI()
	if err != nil {
		return nil, err
	}
	check := &HTTP{
		URI:             uri,
		Method:          a.Method,
		Headers:         a.Headers,
		Body:            a.Body,
		Upstream:        a.Upstream,
		ExpectStatus:    []int{2},
		ExpectBody:      a.ExpectBody,
		FollowRedirects: a.FollowRedirects,
		MaxBody:         max(a.MaxSize, 0),
	}
	if a.ExpectStatus > 0 {
		check.ExpectStatus = []int{a.ExpectStatus}
	}
	c := &Config{
		CheckRaw:           caddyconfig.JSONModuleObject(check, "kind", "http", nil),
		Interval:           a.Interval,
		Timeout:            a.Timeout,
		ConsecutiveSuccess: max(a.Passes, 1),
		ConsecutiveFailure: max(a.Fails, 1),
		Port:               a.Port,
	}
	if c.Interval == 0 {
		c.Interval = caddy.Duration(activeInterval)
	}
	if c.Timeout == 0 {
		c.Timeout = caddy.Duration(activeTimeout)
	}
	if a.Upstream != "" {
		c.Port = 0
	}
	return c, nil
}

// requestURI is the path and query of URI, or Path when that is all there is.
func (a *Active) requestURI() (string, error) {
	u := &url.URL{Path: a.Path}
	if a.URI != "" {
		parsed, err := url.Parse(a.URI)
		if err != nil {
			return "", fmt.Errorf("health_uri: %w", err)
		}
		u = &url.URL{Path: parsed.Path, RawPath: parsed.RawPath, RawQuery: parsed.RawQuery}
	}
	if !strings.HasPrefix(u.Path, "/") {
		u.Path, u.RawPath = "/"+u.Path, ""
	}
	return u.String(), nil
}
