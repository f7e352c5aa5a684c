package syntax

import (
	"net/textproto"
	"strings"
)

// TrimBlanks cuts spaces and tabs off both ends; mostly there is one, in front.
func TrimBlanks(s string) string {
	if len(s) > 1 && s[0] == ' ' && s[1] > ' ' && s[len(s)-1] > ' ' {
		return s[1:]
	}
	return strings.Trim(s, " \t")
}

// Canonical is a field's name, which is a token, in the form that http.Header has it, without a copy where possible.
func Canonical(name string) string {
	upper := true
	for i := range len(name) {
		c := name[i]
		if upper && 'a' <= c && c <= 'z' || !upper && 'A' <= c && c <= 'Z' {
			if known, ok := knownNames[name]; ok {
				return known
			}
			return textproto.CanonicalMIMEHeaderKey(name)
		}
		upper = c == '-'
	}
	return name
}

// knownNames are fields that clients and servers write in lower case.
var knownNames = func() map[string]string {
	names := make(map[string]string)
	for _, name := range []string{
		"Accept", "Accept-Encoding", "Accept-Language", "Accept-Ranges", "Access-Control-Allow-Credentials",
		"Access-Control-Allow-Headers", "Access-Control-Allow-Methods", "Access-Control-Allow-Origin",
		"Access-Control-Expose-Headers", "Access-Control-Request-Headers", "Access-Control-Request-Method", "Age", "Allow",
		"Authorization", "Cache-Control", "Connection", "Content-Disposition", "Content-Encoding", "Content-Language",
		"Content-Length", "Content-Range", "Content-Security-Policy", "Content-Type", "Cookie", "Date", "Dnt", "Etag", "Expires",
		"Forwarded", "Host", "If-Match", "If-Modified-Since", "If-None-Match", "Keep-Alive", "Last-Modified", "Link", "Location",
		"Origin", "Permissions-Policy", "Priority", "Range", "Referer", "Referrer-Policy", "Retry-After", "Sec-Ch-Ua",
		"Sec-Ch-Ua-Mobile", "Sec-Ch-Ua-Platform", "Sec-Fetch-Dest", "Sec-Fetch-Mode", "Sec-Fetch-Site", "Sec-Fetch-User", "Server",
		"Set-Cookie", "Strict-Transport-Security", "Te", "Traceparent", "Tracestate", "Trailer", "Transfer-Encoding", "Upgrade",
		"Upgrade-Insecure-Requests", "User-Agent", "Vary", "Via", "Www-Authenticate", "X-Content-Type-Options",
		"X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Frame-Options", "X-Powered-By", "X-Real-Ip",
		"X-Request-Id", "X-Requested-With", "X-Xss-Protection",
	} {
		names[strings.ToLower(name)] = name
	}
	names["ETag"], names["WWW-Authenticate"], names["X-XSS-Protection"] = "Etag", "Www-Authenticate", "X-Xss-Protection"
	names["DNT"], names["TE"], names["X-Real-IP"], names["X-Request-ID"] = "Dnt", "Te", "X-Real-Ip", "X-Request-Id"
	return names
}()
