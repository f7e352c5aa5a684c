package placeholder

import (
	"slices"
	"strings"

	"github.com/caddylb/caddy-lb/internal/module"
)

// prefixes begin the placeholders of Caddy and of this suite that end in a name, and those of a
// module.
var prefixes = []string{
	"http.request.header.", "http.request.cookie.", "http.request.uri.query.", "http.request.uri.path.", "http.request.host.labels.",
	"http.request.tls.", "http.request.orig_uri.", "http.request.remote.", "http.request.local.", "http.response.header.", "http.vars.",
	"http.regexp.", "http.auth.", "http.error.", "http.matchers.", "http.reverse_proxy.", "http.intercept.", "http.url_pattern.",
	"time.now.",
}

// constants begin placeholders that have one value for all requests.
var constants = []string{"env.", "file.", "system."}

// names are the placeholders of Caddy that do not begin with one of prefixes.
var names = []string{
	"http.request.method", "http.request.scheme", "http.request.proto", "http.request.proto_name", "http.request.host",
	"http.request.port", "http.request.hostport", "http.request.local", "http.request.remote", "http.request.uri",
	"http.request.uri_escaped", "http.request.uri.path", "http.request.uri.path_escaped", "http.request.uri.query",
	"http.request.uri.query_escaped", "http.request.uri.prefixed_query", "http.request.duration", "http.request.duration_ms",
	"http.request.uuid", "http.request.body", "http.request.body_base64", "http.request.orig_method", "http.request.orig_uri",
	"http.shutting_down", "http.time_until_shutdown", "time.now",
}

// shorthands are those of Caddyfiles that people use for keys. The adapter replaces them where they
// are spelled right.
var shorthands = []string{"client_ip", "remote_host", "host", "path", "uri", "query", "method"}

// shorthandPrefixes begin the shorthands that end in a name.
var shorthandPrefixes = []string{"header.", "cookie.", "query.", "vars.", "labels."}

// Doubt says why text has no value of its own for each request: it has a placeholder that Caddy
// does not know, or only such as are the same for all requests. It is empty if there is nothing to
// doubt. A plugin may have placeholders that Caddy does not know, so this is no error.
func Doubt(text string) string {
	found := all(text)
	constant := len(found) > 0
	for _, name := range found {
		if !begins(constants, name) {
			constant = false
			if !begins(prefixes, name) && !slices.Contains(names, name) {
				which := "no placeholder {" + name + "}"
				if text == "{"+name+"}" {
					which = "no such placeholder"
				}
				return "Caddy has " + which + ", and all requests have the same key unless a plugin or the directive map sets it: " + mend(name)
			}
		}
	}
	if constant {
		return "it has the same value for all requests: write a placeholder of the request, such as {http.request.uri.path}"
	}
	return ""
}

func begins(prefixes []string, name string) bool {
	return slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(name, p) && len(name) > len(p) })
}

// mend is what to write instead of an unknown placeholder.
func mend(name string) string {
	best, distance := "", len(name)
	consider := func(guess, whole string) {
		if d := module.Distance(name, whole); d < distance && module.Closest(name, whole) != "" {
			best, distance = guess, d
		}
	}
	for _, known := range slices.Concat(names, shorthands) {
		consider(known, known)
	}
	for _, prefix := range slices.Concat(prefixes, constants, shorthandPrefixes) {
		// The rest of the name is the user's own.
		if parts := strings.SplitN(name, ".", strings.Count(prefix, ".")+1); len(parts) > strings.Count(prefix, ".") {
			rest := parts[len(parts)-1]
			if head := strings.TrimSuffix(name, rest); module.Closest(head, prefix) != "" {
				consider(prefix+rest, prefix+rest)
			}
		}
	}
	if best != "" {
		return "did you mean {" + best + "}?"
	}
	return "it has {http.request.header.*}, {http.request.cookie.*}, {http.request.uri.*}, {http.request.host}, {http.vars.*} and others"
}

// all lists the names of the placeholders in text.
func all(text string) []string {
	var found []string
	for i := 0; i < len(text); i++ {
		if text[i] != '{' || i > 0 && text[i-1] == '\\' {
			continue
		}
		end := strings.IndexByte(text[i:], '}')
		if end < 0 {
			break
		}
		found = append(found, text[i+1:i+end])
		i += end
	}
	return found
}
