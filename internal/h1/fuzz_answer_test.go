package h1

import (
	"bufio"
	"bytes"
	"io"
	"maps"
	"net/http"
	"reflect"
	"strings"
	"testing"
)

var fuzzMethods = []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodConnect}

// FuzzAnswer compares what becomes of an answer, which comes in pieces of the given sizes, with what net/http makes of it. Where they
// are to differ stands in fuzz_rules_test.go.
func FuzzAnswer(f *testing.F) {
	for _, answer := range fuzzAnswers {
		for i := range fuzzMethods {
			f.Add([]byte(answer), uint8(i), []byte{0})
			f.Add([]byte(answer), uint8(i), []byte{6, 2})
		}
	}
	f.Fuzz(func(t *testing.T, data []byte, method uint8, pieces []byte) {
		if len(data) > 4000 { // limits differ, and have tests of their own
			return
		}
		m := fuzzMethods[int(method)%len(fuzzMethods)]
		ours := engineReads(data, m, pieces)
		theirs := netHTTPReads(data, m)
		compareAnswers(t, ours, theirs)
	})
}

// reading is what was made of an answer.
type reading struct {
	err     error // of the head
	bodyErr error
	res     *http.Response
	body    []byte
	keeps   bool
	rest    []byte // behind the head of an upgraded connection

	// Of net/http, for the rules.
	data    []byte
	method  string
	lines   []string      // the status lines of all answers, interim ones included
	headers []http.Header // of all answers, before net/http acted on them as far as that can be told
}

func (r *reading) upgraded() bool {
	code := r.res.StatusCode
	return code == http.StatusSwitchingProtocols || r.method == http.MethodConnect && code/100 == 2
}

func engineReads(data []byte, method string, pieces []byte) *reading {
	c := &memConn{data: data, pieces: pieces}
	r := get(method)
	got, keeps := doMem(c, r)
	x := got.x
	if x.Response.StatusCode == 0 {
		return &reading{err: got.err, method: method}
	}
	out := &reading{res: &x.Response, bodyErr: got.err, body: []byte(got.body), keeps: keeps, method: method}
	if out.upgraded() {
		out.rest, out.body = out.body, nil
		x.Response.Body.Close()
	}
	return out
}

func netHTTPReads(data []byte, method string) *reading {
	src := bytes.NewReader(data)
	br := bufio.NewReader(src)
	left := func() []byte { return data[len(data)-src.Len()-br.Buffered():] }
	out := &reading{data: data, method: method}
	for {
		line, _, _ := strings.Cut(string(left()), "\n")
		out.lines = append(out.lines, strings.TrimSuffix(line, "\r"))
		out.res, out.err = http.ReadResponse(br, &http.Request{Method: method})
		if out.err != nil {
			return out
		}
		out.headers = append(out.headers, maps.Clone(out.res.Header))
		if out.res.StatusCode/100 != 1 || out.upgraded() {
			break
		}
	}
	if out.upgraded() {
		out.rest = left()
		return out
	}
	out.body, out.bodyErr = io.ReadAll(out.res.Body)
	out.keeps = out.bodyErr == nil && !out.res.Close && len(left()) == 0
	return out
}

func compareAnswers(t *testing.T, ours, theirs *reading) {
	t.Helper()
	if r := firstRule(incomparable, theirs); r != nil {
		return
	}
	if (ours.err == nil) != (theirs.err == nil) || ours.err == nil && (ours.bodyErr == nil) != (theirs.bodyErr == nil) {
		rules := weRefuse
		if ours.err == nil && (ours.bodyErr == nil || theirs.err != nil) {
			rules = weAccept
		}
		if r := firstRule(rules, theirs); r == nil {
			t.Fatalf("engine: %v, %v; net/http: %v, %v", ours.err, ours.bodyErr, theirs.err, theirs.bodyErr)
		}
		return
	}
	if ours.err != nil {
		return
	}
	a, b := ours.res, theirs.res
	if a.Status != b.Status || a.StatusCode != b.StatusCode || a.ProtoMinor != b.ProtoMinor && b.ProtoMinor < 2 {
		t.Fatalf("status %q %d %s, want %q %d %s", a.Status, a.StatusCode, a.Proto, b.Status, b.StatusCode, b.Proto)
	}
	if ours.upgraded() {
		if !bytes.Equal(ours.rest, theirs.rest) {
			t.Fatalf("behind the head %q, want %q", ours.rest, theirs.rest)
		}
		return
	}
	// Broken bodies may be found out at different places.
	if same := bytes.Equal(ours.body, theirs.body); !same && (ours.bodyErr == nil || !bytes.HasPrefix(theirs.body, ours.body)) {
		if theirs.bodyErr != nil && firstRule(weAccept, theirs) != nil {
			return // net/http stopped at what is no error, ahead of the one that there is
		}
		t.Fatalf("body %q, want %q", ours.body, theirs.body)
	}
	if want := adjustedHeader(a.Header, theirs); !reflect.DeepEqual(a.Header, want) {
		t.Fatalf("header %q, want %q", a.Header, want)
	}
	if a.ContentLength != b.ContentLength && !theirs.bothFramings() {
		t.Fatalf("length %d, want %d", a.ContentLength, b.ContentLength)
	}
	if ours.keeps != theirs.keeps && !(theirs.keeps && theirs.bothFramings()) {
		t.Fatalf("the connection is kept: %v, want %v", ours.keeps, theirs.keeps)
	}
	if want := adjustedTrailer(b.Trailer); ours.bodyErr == nil && b.Body != http.NoBody && !reflect.DeepEqual(nonNil(a.Trailer), want) {
		t.Fatalf("trailers %q, want %q", a.Trailer, want)
	}
}

func nonNil(h http.Header) http.Header {
	if h == nil {
		return http.Header{}
	}
	return h
}
