package selection

import (
	"fmt"
	"net/http"
	"net/textproto"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddylb/caddy-lb/internal/placeholder"
)

// hashKey is a compiled hash_key: text with placeholders. Where it is one well-known placeholder it is read
// from the request without the replacer and without an allocation; the value is the one the replacer gives.
// The zero value is the default, the path.
type hashKey struct {
	kind keyKind
	text string // the name of a header field, cookie, query parameter or placeholder, or the whole template
}

type keyKind uint8

const (
	keyPath keyKind = iota
	keyURI
	keyHeader
	keyCookie
	keyQuery
	keyHost
	keyRemoteHost
	keyClientIP
	keyPlaceholder
	keyTemplate
)

// parseHashKey compiles text. Empty text is the default.
func parseHashKey(text string) (hashKey, error) {
	if text == "" {
		return hashKey{}, nil
	}
	whole, n, err := placeholder.Scan(text)
	if err != nil {
		return hashKey{}, fmt.Errorf("hash_key '%s': %w", text, err)
	}
	switch {
	case n == 0:
		return hashKey{}, fmt.Errorf("hash_key '%s' is the same for every request: write a placeholder, such as "+
			"{http.request.uri.path}", text)
	case whole:
		return placeholderKey(text[1 : len(text)-1]), nil
	default:
		return hashKey{kind: keyTemplate, text: text}, nil
	}
}

// placeholderKey compiles the single placeholder name.
func placeholderKey(name string) hashKey {
	switch name {
	case "http.request.uri.path":
		return hashKey{kind: keyPath}
	case "http.request.uri":
		return hashKey{kind: keyURI}
	case "http.request.host":
		return hashKey{kind: keyHost}
	case "http.request.remote.host":
		return hashKey{kind: keyRemoteHost}
	case "http.vars.client_ip", "client_ip":
		return hashKey{kind: keyClientIP}
	}
	if field, ok := strings.CutPrefix(name, "http.request.header."); ok {
		return hashKey{kind: keyHeader, text: textproto.CanonicalMIMEHeaderKey(field)}
	}
	if cookie, ok := strings.CutPrefix(name, "http.request.cookie."); ok {
		return hashKey{kind: keyCookie, text: cookie}
	}
	if param, ok := strings.CutPrefix(name, "http.request.uri.query."); ok {
		return hashKey{kind: keyQuery, text: param}
	}
	return hashKey{kind: keyPlaceholder, text: name}
}

// value is the key of one request. repl may be nil where the key is a well-known placeholder.
func (k hashKey) value(r *http.Request, repl *caddy.Replacer) string {
	switch k.kind {
	case keyPath:
		return r.URL.Path
	case keyURI:
		return requestURI(r)
	case keyHeader:
		return joinedHeader(r, k.text)
	case keyCookie:
		return cookieValue(r, k.text, strings.EqualFold)
	case keyQuery:
		return queryValue(r, k.text)
	case keyHost:
		return withoutPort(r.Host)
	case keyRemoteHost:
		if r.TLS != nil && !r.TLS.HandshakeComplete {
			return "" // the address may be forged in early data
		}
		return withoutPort(r.RemoteAddr)
	case keyClientIP:
		return caddy.ToString(caddyhttp.GetVar(r.Context(), caddyhttp.ClientIPVarKey))
	case keyPlaceholder:
		value, _ := repl.GetString(k.text)
		return value
	default:
		return repl.ReplaceAll(k.text, "")
	}
}
