package h1server

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/http/httpguts"

	"github.com/caddylb/caddy-lb/internal/syntax"
)

// readRequest reads a request, whose first bytes are there. What is usual is parsed here, the rest by net/http.
func (c *conn) readRequest() (*exchange, error) {
	o := &c.server.options
	var readBy time.Time
	if o.ReadTimeout > 0 {
		readBy = time.Now().Add(o.ReadTimeout)
	}
	head, discard, err := c.readHead()
	if err != nil {
		return nil, err
	}
	x := c.newExchange()
	if !x.parse(head) {
		if err := x.parseWithNetHTTP(head); err != nil {
			return nil, err
		}
	}
	_, _ = c.br.Discard(discard)
	c.lastPost = x.req.Method == http.MethodPost
	if !readBy.IsZero() || !x.body.isRead() && !c.idleArmed.IsZero() {
		c.idleArmed = time.Time{}
		_ = x.SetReadDeadline(readBy)
	}
	x.limitWriting()
	return x, nil
}

// limitWriting begins the time for the answer, if it is limited.
func (x *exchange) limitWriting() {
	if limit := x.c.server.options.WriteTimeout; limit > 0 {
		_ = x.SetWriteDeadline(time.Now().Add(limit))
	}
}

// skipEmptyLines skips what some old clients send behind a POST and does not belong to its body (RFC 9112, section 2.2). It waits for
// what follows, and reports false when that is nothing.
func (c *conn) skipEmptyLines() bool {
	for range 2 {
		n := 0
		switch p, _ := c.br.Peek(1); p[0] {
		case '\n':
			n = 1
		case '\r':
			if p, err := c.br.Peek(2); err != nil || p[1] != '\n' {
				return err == nil // a CR alone belongs to what follows, and is refused with it
			}
			n = 2
		default:
			return true
		}
		_, _ = c.br.Discard(n)
		if !c.await() {
			return false
		}
	}
	return true
}

// parse reads a whole head. It reports false, with x as it was, for what is not usual or not valid.
func (x *exchange) parse(head []byte) bool {
	text := string(head)
	line, fields, _ := strings.Cut(text, "\r\n")
	method, rest, ok1 := strings.Cut(line, " ")
	target, version, ok2 := strings.Cut(rest, " ")
	if !ok1 || !ok2 || version != "HTTP/1.1" || !syntax.IsToken(method) || method == http.MethodConnect {
		return false
	}
	at := parseTarget(target)
	if at == nil {
		return false
	}
	header, ok := parseFields(fields)
	if !ok {
		return false
	}
	host, ok := header["Host"]
	if !ok || len(host) > 1 || !httpguts.ValidHostHeader(host[0]) {
		return false
	}
	length := int64(0)
	if values, ok := header["Content-Length"]; ok {
		n, err := strconv.ParseUint(values[0], 10, 63)
		if err != nil || len(values) > 1 {
			return false
		}
		length = int64(n)
	}
	delete(header, "Host")
	r := x.req
	r.Method, r.URL, r.RequestURI, r.Host, r.Header, r.ContentLength = method, at, target, host[0], header, length
	r.Proto, r.ProtoMajor, r.ProtoMinor = "HTTP/1.1", 1, 1
	if values, ok := header["Connection"]; ok {
		r.Close = httpguts.HeaderValuesContainsToken(values, "close")
		x.wantsClose = r.Close
	}
	x.setLength(length)
	return true
}

// parseFields reads field lines, each with its CRLF, and the empty line that ends them.
func parseFields(text string) (http.Header, bool) {
	n := syntax.FieldsHint(text)
	header := make(http.Header, n)
	values := make([]string, 0, n)
	for {
		line, rest, _ := strings.Cut(text, "\r\n")
		if line == "" {
			return header, rest == ""
		}
		text = rest
		name, value, ok := parseField(line)
		if !ok || !isUsual(name) {
			return nil, false
		}
		if prior, ok := header[name]; ok {
			header[name] = append(prior, value)
			continue
		}
		if len(values) == cap(values) {
			values = make([]string, 0, n) // those of other fields stay where they are
		}
		values = append(values, value)
		header[name] = values[len(values)-1 : len(values) : len(values)]
	}
}

// parseField reads a field line without its CRLF (RFC 9112, section 5), whose name it makes
// canonical.
func parseField(line string) (name, value string, ok bool) {
	name, value, ok = strings.Cut(line, ":")
	value = syntax.TrimBlanks(value)
	if !ok || !syntax.IsToken(name) || !syntax.IsFieldValue(value) {
		return "", "", false
	}
	return syntax.Canonical(name), value, true
}

// isUsual reports whether a field needs no more than to be known to the handler.
func isUsual(name string) bool {
	switch name {
	case "Transfer-Encoding", "Trailer", "Expect", "Upgrade", "Pragma":
		return false
	}
	return true
}

// parseTarget reads a path with or without a query; nil for what is not valid.
func parseTarget(target string) *url.URL {
	if at := parsePlainTarget(target); at != nil {
		return at
	}
	at, err := url.ParseRequestURI(target)
	if err != nil || at.Host != "" {
		return nil
	}
	return at
}

// parsePlainTarget is parseTarget for what needs no decoding; nil for anything else.
func parsePlainTarget(target string) *url.URL {
	if target == "" || target[0] != '/' {
		return nil
	}
	for i := range len(target) {
		switch c := target[i]; {
		case plainPath[c]:
		case c != '?' || i == len(target)-1:
			return nil
		default:
			query := target[i+1:]
			for j := range len(query) {
				if !syntax.IsTargetChar(query[j]) {
					return nil
				}
			}
			return &url.URL{Path: target[:i], RawQuery: query}
		}
	}
	return &url.URL{Path: target}
}

// plainPath are the octets that stand for themselves in a path, written as net/url would (RFC 3986, section 3.3).
var plainPath = func() (t [256]bool) {
	for _, c := range "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~/$&+,:;=@" {
		t[c] = true
	}
	return t
}()
