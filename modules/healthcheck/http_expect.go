package healthcheck

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"golang.org/x/net/http/httpguts"
)

// compile validates the options and compiles the URI and the expectations.
func (c *HTTP) compile(ctx caddy.Context) error {
	if c.URI == "" {
		c.URI = "/"
	}
	if c.Method == "" {
		c.Method = http.MethodGet
	}
	var err error
	if c.uri, err = parseURI(c.URI); err != nil {
		return err
	}
	if err := c.validateRequest(); err != nil {
		return err
	}
	for _, code := range c.ExpectStatus {
		if code < 1 || code > 999 || code > 9 && code < 100 {
			return fmt.Errorf("expect_status: %d is neither a status code nor the digit of a class", code)
		}
	}
	if len(c.ExpectStatus) == 0 && c.Expect == "" {
		c.ExpectStatus = []int{http.StatusOK}
	}
	c.ExpectHeaders = canonical(c.ExpectHeaders)
	if c.ExpectBody != "" {
		if c.bodyRegexp, err = regexp.Compile(c.ExpectBody); err != nil {
			return fmt.Errorf("expect_body: %w", err)
		}
	}
	if c.Expect != "" {
		c.expression = &caddyhttp.MatchExpression{Expr: c.Expect}
		if err := c.expression.Provision(ctx); err != nil {
			return fmt.Errorf("expect: %w", err)
		}
	}
	return nil
}

// validateRequest checks what the request is made of.
func (c *HTTP) validateRequest() error {
	if !httpguts.ValidHeaderFieldName(c.Method) {
		return fmt.Errorf("method: %q is not a method", c.Method)
	}
	switch c.Scheme {
	case "", "http", "https", "h2c":
	default:
		return fmt.Errorf("scheme is %q; write http, https or h2c", c.Scheme)
	}
	if c.Upstream != "" {
		if _, port, err := net.SplitHostPort(c.Upstream); err != nil || port == "" {
			return fmt.Errorf("upstream is %q; write host:port", c.Upstream)
		}
	}
	for name := range c.Headers {
		if !strings.Contains(name, "{") && !httpguts.ValidHeaderFieldName(name) {
			return fmt.Errorf("header: %q is not a field name", name)
		}
	}
	if c.MaxBody < 0 {
		return fmt.Errorf("max_body is %d; write a size, 64KiB for example", c.MaxBody)
	}
	return nil
}

// parseURI takes a path and query, and nothing else.
func parseURI(s string) (*url.URL, error) {
	u, err := url.Parse(s)
	if err != nil {
		return nil, fmt.Errorf("uri: %w", err)
	}
	if !strings.HasPrefix(s, "/") || u.Host != "" {
		return nil, fmt.Errorf("uri is %q; write a path and query alone, %s for example; the host belongs in the host option", s, (&url.URL{Path: "/" + strings.TrimLeft(u.Path, "/"), RawQuery: u.RawQuery}).String())
	}
	return &url.URL{Path: u.Path, RawPath: u.RawPath, RawQuery: u.RawQuery}, nil
}

// canonical returns h with its field names in canonical form, which JSON need not have. A field without values
// gets an empty list: to Caddy's matcher that means any value, where nil means that the field must be absent.
func canonical(h http.Header) http.Header {
	out := make(http.Header, len(h))
	for name, values := range h {
		name = http.CanonicalHeaderKey(name)
		out[name] = append(out[name], values...)
		if out[name] == nil {
			out[name] = []string{}
		}
	}
	return out
}

// judge compares the answer with what is expected, cheapest first, and always reads the body: an answer that
// breaks off is not a good one.
func (c *HTTP) judge(req *http.Request, resp *http.Response) error {
	if len(c.ExpectStatus) > 0 && !c.statusExpected(resp.StatusCode) {
		return fmt.Errorf("status %d, where %s is expected", resp.StatusCode, c.statuses())
	}
	for name, values := range c.ExpectHeaders {
		m := caddyhttp.ResponseMatcher{Headers: http.Header{name: values}}
		if !m.Match(resp.StatusCode, resp.Header) {
			return fmt.Errorf("header %s is %q, where %s is expected", name, resp.Header.Values(name), anyOf(values))
		}
	}
	body := io.LimitReader(resp.Body, c.MaxBody)
	if c.bodyRegexp == nil && c.expression == nil {
		if _, err := io.Copy(io.Discard, body); err != nil {
			return fmt.Errorf("reading the body: %w", err)
		}
		return nil
	}
	content, err := io.ReadAll(body)
	if err != nil {
		return fmt.Errorf("reading the body: %w", err)
	}
	if c.bodyRegexp != nil && !c.bodyRegexp.Match(content) {
		return fmt.Errorf("the body does not match %s", c.ExpectBody)
	}
	if c.expression != nil {
		return c.evaluate(req, resp, content)
	}
	return nil
}

// statusExpected reports whether code is one of those expected.
func (c *HTTP) statusExpected(code int) bool {
	for _, want := range c.ExpectStatus {
		if caddyhttp.StatusCodeMatches(code, want) {
			return true
		}
	}
	return false
}

// statuses is ExpectStatus as a user writes it.
func (c *HTTP) statuses() string {
	out := make([]string, len(c.ExpectStatus))
	for i, code := range c.ExpectStatus {
		out[i] = strconv.Itoa(code)
		if code < 10 {
			out[i] += "xx"
		}
	}
	return strings.Join(out, " or ")
}

// anyOf is a header's expected values for an error text.
func anyOf(values []string) string {
	if len(values) == 0 {
		return "any value"
	}
	quoted := make([]string, len(values))
	for i, v := range values {
		quoted[i] = strconv.Quote(v)
	}
	return strings.Join(quoted, " or ")
}

// evaluate asks the CEL expression about the answer.
func (c *HTTP) evaluate(req *http.Request, resp *http.Response, body []byte) error {
	const prefix = "http.reverse_proxy."
	repl := caddy.NewReplacer()
	repl.Set(prefix+"status_code", resp.StatusCode)
	repl.Set(prefix+"status_text", resp.Status)
	repl.Set(prefix+"body", string(body))
	repl.Map(func(name string) (any, bool) {
		field, ok := strings.CutPrefix(name, prefix+"header.")
		if !ok {
			return nil, false
		}
		return strings.Join(resp.Header.Values(field), ","), true
	})
	// The context of the check itself is left out: its end must not decide an answer that is in.
	ctx := context.WithValue(context.Background(), caddy.ReplacerCtxKey, repl)
	ctx = context.WithValue(ctx, caddyhttp.VarsCtxKey, make(map[string]any))
	ok, err := c.expression.MatchWithError(req.WithContext(ctx))
	if err != nil {
		return fmt.Errorf("evaluating %s: %w", c.Expect, err)
	}
	if !ok {
		return errors.New("the answer does not fulfil " + c.Expect)
	}
	return nil
}
