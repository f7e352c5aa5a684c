package h1

import (
	"cmp"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"golang.org/x/net/http/httpguts"

	"github.com/caddylb/caddy-lb/internal/syntax"
)

// appendHead appends a request's line and header. Who the message is for and how it is framed is said here, whatever the header
// says of it.
func appendHead(p []byte, x *Exchange, closing bool) ([]byte, error) {
	r := x.Request
	if !syntax.IsToken(r.Method) {
		return p, unsendable("method %.32q", r.Method)
	}
	host, err := hostOf(x)
	if err != nil {
		return p, err
	}
	p = append(p, r.Method...)
	p = append(p, ' ')
	if p, err = appendTarget(p, r, host); err != nil {
		return p, err
	}
	p = append(p, " HTTP/1.1\r\nHost: "...)
	p = append(p, host...)
	p = append(p, "\r\n"...)
	p = appendFraming(p, r)
	if closing {
		p = append(p, "Connection: close\r\n"...)
	}
	if p, err = appendFields(p, r.Header, x.Edit, closing); err != nil {
		return p, err
	}
	return append(p, "\r\n"...), nil
}

// appendTarget appends the request target in origin form, or as the URL has it (RFC 9112, section 3.2).
func appendTarget(p []byte, r *http.Request, host string) ([]byte, error) {
	u := r.URL
	if r.Method == http.MethodConnect && u.Path == "" && u.Opaque == "" {
		if host == "" {
			return p, unsendable("CONNECT without a host to connect to")
		}
		return append(p, host...), nil
	}
	from := len(p)
	if u.Opaque != "" {
		p = appendOpaque(p, u)
	} else {
		path := u.EscapedPath()
		if path == "" {
			path = "/"
		}
		p = append(p, path...)
	}
	if u.ForceQuery || u.RawQuery != "" {
		p = append(p, '?')
		p = appendQuery(p, u.RawQuery)
	}
	for _, c := range p[from:] {
		if !syntax.IsTargetChar(c) {
			return p, unsendable("white space or control characters in the target %.64q", p[from:])
		}
	}
	return p, nil
}

// appendQuery appends a query. A "#" in it would be the end of the target to some servers and a
// part of it to others, so it is escaped, as net/url does in paths.
func appendQuery(p []byte, query string) []byte {
	for {
		before, after, found := strings.Cut(query, "#")
		p = append(p, before...)
		if !found {
			return p
		}
		p, query = append(p, "%23"...), after
	}
}

func appendOpaque(p []byte, u *url.URL) []byte {
	if strings.HasPrefix(u.Opaque, "//") {
		p = append(p, u.Scheme...)
		p = append(p, ':')
	}
	return append(p, u.Opaque...)
}

// hostOf is the value of Host: the request's, else the URL's, in ASCII and without the zone of an IPv6 address.
func hostOf(x *Exchange) (string, error) {
	host := cmp.Or(x.Host, x.Request.Host, x.Request.URL.Host)
	host = withoutZone(host)
	if !syntax.IsASCII(host) {
		ascii, err := httpguts.PunycodeHostPort(host)
		if err != nil {
			return "", unsendable("host %.64q", host)
		}
		host = ascii
	}
	if !syntax.IsHost(host) {
		return "", unsendable("host %.64q", host)
	}
	return host, nil
}

// withoutZone removes the zone from [fe80::1%eth0]:80.
func withoutZone(host string) string {
	if !strings.HasPrefix(host, "[") {
		return host
	}
	end := strings.LastIndexByte(host, ']')
	if end < 0 {
		return host
	}
	if zone := strings.LastIndexByte(host[:end], '%'); zone >= 0 {
		return host[:zone] + host[end:]
	}
	return host
}

// appendFraming says how the body ends (RFC 9112, section 6). A request without one says so where its method
// would have one.
func appendFraming(p []byte, r *http.Request) []byte {
	switch {
	case !hasBody(r):
		if r.Method == http.MethodPost || r.Method == http.MethodPut || r.Method == http.MethodPatch {
			p = append(p, "Content-Length: 0\r\n"...)
		}
	case r.ContentLength >= 0 && len(r.Trailer) == 0:
		p = append(p, "Content-Length: "...)
		p = strconv.AppendInt(p, r.ContentLength, 10)
		p = append(p, "\r\n"...)
	default:
		p = append(p, "Transfer-Encoding: chunked\r\n"...)
		for name := range r.Trailer {
			if syntax.IsToken(name) && isTrailer(syntax.Canonical(name)) {
				p = append(p, "Trailer: "...)
				p = append(p, name...)
				p = append(p, "\r\n"...)
			}
		}
	}
	return p
}

// hasBody reports whether a body is sent with a request.
func hasBody(r *http.Request) bool {
	return r.Body != nil && r.Body != http.NoBody && (r.ContentLength != 0 || len(r.Trailer) > 0)
}

// appendFields appends header fields but for those that appendHead writes itself.
func appendFields(p []byte, header http.Header, edit Edit, closing bool) ([]byte, error) {
	for name, values := range header {
		if isOwn(name, closing) || edit != nil && edit.Omits(name) {
			continue
		}
		if name == "User-Agent" && len(values) > 0 && values[0] == "" {
			continue // it stands for none; some transports add one where there is none
		}
		var err error
		if p, err = appendField(p, name, values); err != nil {
			return p, err
		}
	}
	if edit == nil {
		return p, nil
	}
	for _, f := range edit.Added() {
		if isOwn(f.Name, closing) {
			continue
		}
		var err error
		if p, err = appendLine(p, f.Name, f.Value); err != nil {
			return p, err
		}
	}
	return p, nil
}

// isOwn reports whether a field is written from what the request is, not from its header. A name in another case than
// http.Header has it means the same to the server, so that it must not get through beside.
func isOwn(name string, closing bool) bool {
	switch len(name) {
	case len("Host"):
		return strings.EqualFold(name, "Host")
	case len("Trailer"):
		return strings.EqualFold(name, "Trailer")
	case len("Connection"):
		return closing && strings.EqualFold(name, "Connection")
	case len("Content-Length"):
		return strings.EqualFold(name, "Content-Length")
	case len("Transfer-Encoding"):
		return strings.EqualFold(name, "Transfer-Encoding")
	}
	return false
}

func appendField(p []byte, name string, values []string) ([]byte, error) {
	for _, v := range values {
		var err error
		if p, err = appendLine(p, name, v); err != nil {
			return p, err
		}
	}
	return p, nil
}

func appendLine(p []byte, name, value string) ([]byte, error) {
	value = trimSpace(value)
	if err := checkLine(name, value); err != nil {
		return p, err
	}
	p = append(p, name...)
	p = append(p, ": "...)
	p = append(p, value...)
	return append(p, "\r\n"...), nil
}

// checkLine reports why a field cannot be sent, whose value is without white space around it.
func checkLine(name, value string) error {
	if !syntax.IsToken(name) {
		return unsendable("field name %.64q", name)
	}
	if !syntax.IsFieldValue(value) {
		return unsendable("control characters in the value of %s", name)
	}
	return nil
}

// trimSpace cuts white space off both ends, line ends included, as net/http does.
func trimSpace(v string) string {
	if v == "" || v[0] > ' ' && v[len(v)-1] > ' ' {
		return v
	}
	return strings.Trim(v, " \t\r\n")
}
