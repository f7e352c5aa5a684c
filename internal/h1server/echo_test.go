package h1server

import (
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// echo answers with the request as the handler sees it.
func echo(w http.ResponseWriter, r *http.Request) {
	text := describe(r)
	body, err := io.ReadAll(r.Body)
	if len(body) > 100 {
		body = fmt.Appendf(nil, "%d octets", len(body))
	}
	_, _ = fmt.Fprintf(w, "%sbody %q failed %v then %v\n", text, body, err != nil, fieldText(r.Trailer))
}

// describe writes all of a request but its body.
func describe(r *http.Request) string {
	at := *r.URL
	at.User = nil
	return fmt.Sprintf("%q %q %q %d.%d host %q\nurl %v %#v\nheader %v\nlength %d coding %q close %v trailer %v tls %v no body %v\n",
		r.Method, r.RequestURI, r.Proto, r.ProtoMajor, r.ProtoMinor, r.Host, r.URL.User, at, fieldText(r.Header),
		r.ContentLength, r.TransferEncoding, r.Close, fieldText(r.Trailer), r.TLS != nil, r.Body == http.NoBody)
}

// fieldText writes fields by name, and tells nil from empty.
func fieldText(h http.Header) string {
	var out strings.Builder
	if h == nil {
		return "nil"
	}
	for _, name := range slices.Sorted(maps.Keys(h)) {
		fmt.Fprintf(&out, "%q %#v ", name, h[name])
	}
	return out.String()
}

// text answers without a look at the request.
func text(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "text") }

func itoa(n int) string { return strconv.Itoa(n) }
