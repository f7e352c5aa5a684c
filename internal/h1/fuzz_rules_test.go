package h1

import (
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"

	"github.com/caddylb/caddy-lb/internal/syntax"
)

// rule is a reason to differ from net/http, and when it holds. It is given what net/http made of the answer.
type rule struct {
	why     string
	applies func(theirs *reading) bool
}

// firstRule returns the first rule that holds, nil when there is none.
func firstRule(rules []rule, theirs *reading) *rule {
	for i := range rules {
		if rules[i].applies(theirs) {
			return &rules[i]
		}
	}
	return nil
}

// Patterns of what the rules look for.
var (
	statusLine       = regexp.MustCompile(`^HTTP/1\.[0-9] [1-9][0-9]{2}( [\t\x20-\x7e\x80-\xff]*)?$`)
	spaceBeforeColon = regexp.MustCompile(`(?m)^[^\x00-\x20:\x7f-\xff]+[\t ]+:`)
	controlExtension = regexp.MustCompile(`(?s)[0-9A-Fa-f][ \t]*;[^\r\n]*[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]`)
	spacedExtension  = regexp.MustCompile(`[0-9A-Fa-f][ \t]+;`)
	loneEnd          = regexp.MustCompile(`0[ \t]*(;[^\r\n]*)?\r\n\n`)
	spacedCoding     = regexp.MustCompile(`(?i)^unsupported transfer encoding: "chunked( |\\t)+"$`)
	lineFeedInside   = regexp.MustCompile(`0[ \t]*(;[^\r\n]*)?\r\n(?s:.*)(\n\n|[^\r]\n\r\n)`)
)

// incomparable are answers that mean something else to each.
var incomparable = []rule{
	{
		why: "RFC 9112, section 5.1: a proxy removes white space before the colon, so that the field counts; to net/http it is part of the name",
		applies: func(r *reading) bool {
			return spaceBeforeColon.Match(r.data)
		},
	},
}

// weRefuse are answers that net/http takes.
var weRefuse = []rule{
	{
		why: "RFC 9112, sections 2.3 and 4: HTTP/1.x, one space, three digits; codes begin at 100 (RFC 9110, section 15); no controls in the reason",
		applies: func(r *reading) bool {
			return slices.ContainsFunc(r.lines, func(line string) bool { return !statusLine.MatchString(line) })
		},
	},
	{
		why: "RFC 9112, section 6.1: a transfer coding in HTTP/1.0 is faulty framing; net/http ignores it and so reads another body",
		applies: func(r *reading) bool {
			return r.res != nil && r.res.ProtoMinor == 0 && strings.Contains(strings.ToLower(string(r.data)), "transfer-encoding:")
		},
	},
	{
		why: "RFC 9110, section 5.6.2: a name is a token, without white space",
		applies: func(r *reading) bool {
			hasSpace := func(h http.Header) bool {
				return slices.ContainsFunc(slices.Collect(maps.Keys(h)), func(name string) bool { return strings.Contains(name, " ") })
			}
			return slices.ContainsFunc(r.headers, hasSpace) || r.res != nil && hasSpace(r.res.Trailer)
		},
	},
	{
		why:     "RFC 9112, section 7.1.1: an extension is made of tokens and quoted strings, which have no controls",
		applies: func(r *reading) bool { return controlExtension.Match(r.data) },
	},
	{
		why:     "RFC 9112, section 7.1: a chunked body ends with CR LF; net/http takes a lone LF when CR LF CR LF is somewhere behind it",
		applies: func(r *reading) bool { return loneEnd.Match(r.data) },
	},
}

// weAccept are answers that net/http refuses.
var weAccept = []rule{
	{
		why:     "RFC 9112, section 7.1.1: there may be bad white space before the semicolon of an extension, which a recipient has to parse",
		applies: func(r *reading) bool { return spacedExtension.Match(r.data) },
	},
	{
		why: "RFC 9112, section 5.2, and RFC 9110, section 5.5: a fold is a space, and a space behind a value is no part of it; net/http leaves it there",
		applies: func(r *reading) bool {
			return r.err != nil && spacedCoding.MatchString(r.err.Error())
		},
	},
	{
		why: "RFC 9110, section 6.6.2: Trailer is a hint, and a trailer that must not be one is dropped when it comes",
		applies: func(r *reading) bool {
			return r.err != nil && strings.Contains(r.err.Error(), "bad trailer key")
		},
	},
	{
		why:     "RFC 9112, section 2.2: a line of a field may end with LF alone, in trailers as in a header",
		applies: func(r *reading) bool { return r.bodyErr != nil && lineFeedInside.Match(r.data) },
	},
	{
		why: "RFC 9110, section 15.2, and RFC 9112, section 6.3: interim answers, and those after which the protocol changes, have no framing",
		applies: func(r *reading) bool {
			return r.err != nil && r.res == nil && slices.ContainsFunc(r.lines, func(line string) bool {
				return strings.HasPrefix(line, "HTTP/1.") && len(line) > 9 && (line[9] == '1' || r.method == http.MethodConnect && line[9] == '2')
			})
		},
	},
}

// bothFramings reports whether the answer had a length beside chunked.
func (r *reading) bothFramings() bool {
	return len(r.res.TransferEncoding) > 0 && strings.Contains(strings.ToLower(string(r.data)), "content-length")
}

// adjustedHeader is net/http's header without what net/http makes of it.
func adjustedHeader(ours http.Header, theirs *reading) http.Header {
	h := trimmed(theirs.res.Header)
	if theirs.res.Close && h["Connection"] == nil && ours["Connection"] != nil {
		h["Connection"] = ours["Connection"] // it was removed, though only the connection's keeper has use for it
	}
	if p := h["Pragma"]; len(p) > 0 && p[0] == "no-cache" && ours["Cache-Control"] == nil {
		delete(h, "Cache-Control") // it was added, for a cache that is not here
	}
	if theirs.bothFramings() {
		delete(h, "Content-Length") // without a body, too, it is not to be trusted (RFC 9112, section 6.1)
	}
	if len(theirs.res.TransferEncoding) > 0 && ours["Trailer"] != nil {
		h["Trailer"] = ours["Trailer"] // where there is no body there are no trailers, and the field is one like others
	}
	return h
}

// adjustedTrailer is net/http's trailers without those that must not be some (RFC 9110, section 6.5.1).
func adjustedTrailer(theirs http.Header) http.Header {
	h := make(http.Header)
	for name, values := range theirs {
		if syntax.IsToken(name) && isTrailer(name) {
			h[name] = values
		}
	}
	return trimmed(h)
}

// trimmed is a copy without white space behind values, which is part of none (RFC 9110, section 5.5); net/http leaves it when it is from
// a fold of white space alone.
func trimmed(h http.Header) http.Header {
	h = h.Clone()
	for _, values := range h {
		for i, v := range values {
			values[i] = strings.TrimRight(v, " \t")
		}
	}
	return h
}

// fuzzAnswers are what the fuzzing begins with.
var fuzzAnswers = []string{
	"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
	"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello",
	"HTTP/1.1 200\nA: 1\n 2\nB : x\n\nuntil close",
	"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok",
	"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
	chunkedHead + "3;a=b\r\nabc\r\nA\r\n0123456789\r\n0\r\n\r\n",
	"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\nTrailer: A, Content-Length\r\n\r\n1\r\na\r\n0\r\nA: 1\r\nB: 2\r\n\r\n",
	"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n",
	"HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n",
	"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: <a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
	switching + "hello",
	"HTTP/1.1 200 OK\r\nPragma: no-cache\r\nContent-Length: 1\r\n\r\nxHTTP/1.1 200 OK\r\n\r\n",
	"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
	"HTTP/1.1 200 OK\r\nContent-Length: +5\r\n\r\nhello",
}
