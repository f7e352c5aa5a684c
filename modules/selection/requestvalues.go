package selection

import (
	"net"
	"net/http"
	"net/textproto"
	"net/url"
	"strings"

	"golang.org/x/net/http/httpguts"
)

// Requests with more cookies or query parameters than that have none, as with the standard library.
// They are scanned in place: what the library makes of them takes up to 50 times the memory.
const (
	maxCookies    = 3000
	maxParameters = 10_000
)

// requestURI is r.URL.RequestURI(), without an allocation where the request line has it already.
func requestURI(r *http.Request) string {
	u := r.URL
	if u.Opaque == "" && !u.ForceQuery && u.RawQuery != "" {
		path := u.EscapedPath()
		raw := r.RequestURI
		if len(raw) == len(path)+1+len(u.RawQuery) && raw[:len(path)] == path && raw[len(path)] == '?' &&
			raw[len(path)+1:] == u.RawQuery && path != "" {
			return raw
		}
	}
	return u.RequestURI()
}

// joinedHeader is the values of a header field, whose name is in canonical form, joined by commas.
func joinedHeader(r *http.Request, field string) string {
	values := r.Header[field]
	if len(values) == 1 {
		return values[0]
	}
	return strings.Join(values, ",")
}

// withoutPort is the host of host:port, or all of it where there is no port.
func withoutPort(hostport string) string {
	if !strings.Contains(hostport, ":") {
		return hostport
	}
	host, _, err := net.SplitHostPort(hostport)
	if err != nil {
		return hostport
	}
	return host
}

// cookieValue is the value of the first cookie whose name equals name under same; empty when there
// is none.
func cookieValue(r *http.Request, name string, same func(a, b string) bool) (value string) {
	eachCookie(r, name, same, func(v string) bool {
		value = v
		return false
	})
	return value
}

// eachCookie calls visit with the value of each cookie whose name equals name under same, read as net/http does,
// until visit returns false.
func eachCookie(r *http.Request, name string, same func(a, b string) bool, visit func(value string) bool) {
	lines := r.Header["Cookie"]
	count := 0
	for _, line := range lines {
		count += strings.Count(line, ";") + 1
	}
	if count > maxCookies {
		return
	}
	for _, line := range lines {
		for line != "" {
			var part string
			part, line, _ = strings.Cut(line, ";")
			got, value, _ := strings.Cut(textproto.TrimString(part), "=")
			got = textproto.TrimString(got)
			if !same(name, got) || !httpguts.ValidHeaderFieldName(got) {
				continue
			}
			if value, ok := unquotedCookie(value); ok && !visit(value) {
				return
			}
		}
	}
}

// unquotedCookie strips the quotes from a cookie's value and reports whether the value is valid (RFC 6265,
// section 4.1.1, with spaces and commas allowed).
func unquotedCookie(value string) (string, bool) {
	if len(value) > 1 && value[0] == '"' && value[len(value)-1] == '"' {
		value = value[1 : len(value)-1]
	}
	for i := range len(value) {
		if b := value[i]; b < 0x20 || b >= 0x7f || b == '"' || b == ';' || b == '\\' {
			return "", false
		}
	}
	return value, true
}

// queryValue is the values of a query parameter joined by commas, as url.Values has them: pairs that do not
// parse are left out.
func queryValue(r *http.Request, name string) string {
	query := r.URL.RawQuery
	if strings.Count(query, "&") >= maxParameters {
		return ""
	}
	first, rest := "", []string(nil)
	found := false
	for query != "" {
		var pair string
		pair, query, _ = strings.Cut(query, "&")
		if pair == "" || strings.Contains(pair, ";") {
			continue
		}
		key, value, _ := strings.Cut(pair, "=")
		key, errKey := url.QueryUnescape(key)
		if errKey != nil || key != name {
			continue
		}
		value, errValue := url.QueryUnescape(value)
		switch {
		case errValue != nil:
		case !found:
			first, found = value, true
		default:
			rest = append(rest, value)
		}
	}
	if len(rest) == 0 {
		return first
	}
	return first + "," + strings.Join(rest, ",")
}
