package filter

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"pgregory.net/rapid"
)

// chunked is a body that comes in the given pieces, and ends with err.
type chunked struct {
	chunks []string
	err    error
	reads  int
}

func (c *chunked) Read(p []byte) (int, error) {
	c.reads++
	if len(c.chunks) == 0 {
		return 0, c.err
	}
	n := copy(p, c.chunks[0])
	if c.chunks[0] = c.chunks[0][n:]; c.chunks[0] == "" {
		c.chunks = c.chunks[1:]
	}
	return n, nil
}

func (c *chunked) Close() error { return nil }

// replaceWhole is what the filter has to do, on the whole body: at each place the first pair that matches.
func replaceWhole(pairs []ReplacePair, body string) string {
	var out strings.Builder
	for len(body) > 0 {
		i := slices.IndexFunc(pairs, func(p ReplacePair) bool { return strings.HasPrefix(body, p.Search) })
		if i < 0 {
			out.WriteByte(body[0])
			body = body[1:]
			continue
		}
		out.WriteString(pairs[i].Replacement)
		body = body[len(pairs[i].Search):]
	}
	return out.String()
}

func TestReplaceEqualsReplacingTheWholeBody(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := func(least, most int) *rapid.Generator[string] {
			return rapid.StringOfN(rapid.SampledFrom([]rune("abc")), least, most, -1)
		}
		var pairs []ReplacePair
		for _, search := range rapid.SliceOfNDistinct(text(1, 5), 1, 4, rapid.ID).Draw(t, "searches") {
			pairs = append(pairs, ReplacePair{search, text(0, 4).Draw(t, "replacement")})
		}
		chunks := rapid.SliceOf(text(1, 8)).Draw(t, "chunks")
		if rapid.Bool().Draw(t, "large") { // more than the buffer
			chunks = append(chunks, strings.Repeat(text(1, 7).Draw(t, "unit"), 9000))
		}
		body := io.ReadCloser(&chunked{chunks: slices.Clone(chunks), err: io.EOF})
		if rapid.Bool().Draw(t, "eof with data") {
			body = io.NopCloser(iotest.DataErrReader(body))
		}
		replacements := make([]string, len(pairs))
		for i, pair := range pairs {
			replacements[i] = pair.Replacement
		}
		r := io.Reader(newReplacingBody(body, newTextFinder(pairs), replacements))
		if rapid.Bool().Draw(t, "small reads") {
			r = iotest.OneByteReader(r)
		}
		got, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		if want := replaceWhole(pairs, strings.Join(chunks, "")); string(got) != want {
			t.Fatalf("got %d bytes %.60q, want %d bytes %.60q", len(got), got, len(want), want)
		}
	})
}

func FuzzReplace(f *testing.F) {
	f.Add([]byte("a needle in a haystack"), "need", "pin", "hay", "straw", uint8(3))
	f.Add([]byte("aaaab"), "aab", "x", "a", "", uint8(1))
	f.Fuzz(func(t *testing.T, body []byte, s1, r1, s2, r2 string, size uint8) {
		if s1 == "" || s2 == "" || len(s1) > maxSearch || len(s2) > maxSearch || size == 0 {
			t.Skip()
		}
		pairs := []ReplacePair{{s1, r1}, {s2, r2}}
		var chunks []string
		for chunk := range slices.Chunk(body, int(size)) {
			chunks = append(chunks, string(chunk))
		}
		got, err := io.ReadAll(newReplacingBody(&chunked{chunks: chunks, err: io.EOF}, newTextFinder(pairs), []string{r1, r2}))
		if want := replaceWhole(pairs, string(body)); err != nil || string(got) != want {
			t.Fatalf("got %q and %v, want %q", got, err, want)
		}
		if want := strings.NewReplacer(s1, r1, s2, r2).Replace(string(body)); string(got) != want {
			t.Fatalf("got %q, and strings.NewReplacer gives %q", got, want)
		}
	})
}

// What cannot belong to a text is passed on before the backend sends more.
func TestReplaceHoldsBackNoMoreThanItMust(t *testing.T) {
	for _, test := range []struct{ chunk, passed string }{
		{"hello", "hello"},
		{"hello nee", "hello "},
		{"hello needl", "hello "},
		{"hello needlE", "hello needlE"},
		{"a needle", "a PIN"},
		{"need need", "need "},
	} {
		src := &chunked{chunks: []string{test.chunk, "z"}, err: io.EOF}
		body := newReplacingBody(src, newTextFinder([]ReplacePair{{"needle", "PIN"}}), []string{"PIN"})
		p := make([]byte, 100)
		n, err := body.Read(p)
		if got := string(p[:n]); got != test.passed || err != nil || src.reads != 1 {
			t.Errorf("of %q passed %q with %d reads (%v), want %q with one", test.chunk, got, src.reads, err, test.passed)
		}
	}
}

func TestReplacePassesOnWhatCameBeforeAnError(t *testing.T) {
	broken := errors.New("broken")
	body := newReplacingBody(&chunked{chunks: []string{"a nee"}, err: broken}, newTextFinder([]ReplacePair{{"needle", ""}}), []string{""})
	got, err := io.ReadAll(body)
	if string(got) != "a nee" || !errors.Is(err, broken) {
		t.Errorf("got %q and %v", got, err)
	}
	if _, err := body.Read(make([]byte, 1)); !errors.Is(err, broken) {
		t.Errorf("read after the end: %v", err)
	}
}

// answer runs the phases of an answer through a chain, and returns what the client gets.
func answer(t *testing.T, c *Chain, x *routed, status int, header http.Header, body string) string {
	t.Helper()
	for field, values := range header {
		x.Writer.Header()[field] = values
	}
	var got []byte
	err := c.Response(x.Context, status, func(status int) error {
		b, err := c.ResponseBody(x.Context, io.NopCloser(strings.NewReader(body)))
		if err != nil {
			return err
		}
		got, err = io.ReadAll(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return string(got)
}

func TestReplaceAnswers(t *testing.T) {
	html := http.Header{"Content-Type": {"text/html; charset=utf-8"}}
	with := func(field, value string) http.Header {
		h := html.Clone()
		h.Set(field, value)
		return h
	}
	for _, test := range []struct {
		name, method string
		status       int
		header       http.Header
		changed      bool
	}{
		{"html", "GET", 200, html, true},
		{"error page", "GET", 500, html, true},
		{"json", "GET", 200, http.Header{"Content-Type": {"Application/JSON"}}, true},
		{"problem", "GET", 400, http.Header{"Content-Type": {"application/problem+json"}}, true},
		{"svg", "GET", 200, http.Header{"Content-Type": {"image/svg+xml"}}, true},
		{"events", "GET", 200, http.Header{"Content-Type": {"text/event-stream"}}, true},
		{"identity", "GET", 200, with("Content-Encoding", "identity"), true},
		{"png", "GET", 200, http.Header{"Content-Type": {"image/png"}}, false},
		{"no type", "GET", 200, http.Header{}, false},
		{"encoded", "GET", 200, with("Content-Encoding", "br"), false},
		{"head", "HEAD", 200, html, false},
		{"part", "GET", 206, html, false},
		{"not modified", "GET", 304, html, false},
		{"no content", "GET", 204, html, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := chainOf(t, &Replace{Pairs: []ReplacePair{{"old", "new"}}})
			x := newRouted(t, httptest.NewRequest(test.method, "/", nil), "")
			header := test.header.Clone()
			for _, field := range aboutBytes {
				header[field] = []string{"3"}
			}
			header.Set("Etag", `"x"`)
			want, tag, fields := "old", `"x"`, len(header)
			if test.changed {
				want, tag, fields = "new", `W/"x"`, len(header)-len(aboutBytes)
			}
			if got := answer(t, c, x, test.status, header, "old"); got != want {
				t.Errorf("the body is %q, want %q", got, want)
			}
			if got := x.answer.Header(); got.Get("Etag") != tag || len(got) != fields {
				t.Errorf("the header is %v", got)
			}
		})
	}
}

func TestReplaceUpstreamRequest(t *testing.T) {
	c := chainOf(t, &Replace{Pairs: []ReplacePair{{"old", "new"}}})
	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set("Accept-Encoding", "gzip")
	r.Header.Set("Range", "bytes=0-") // a part would not be searched
	r.Header.Set("If-Range", `"a"`)
	x := newRouted(t, r, "")
	if err := c.UpstreamRequest(x.Context, x.Request); err != nil || len(x.Request.Header) > 0 {
		t.Errorf("sent with %v (%v)", x.Request.Header, err)
	}
}

func TestReplacePlaceholders(t *testing.T) {
	c := chainOf(t, &Replace{Pairs: []ReplacePair{{"backend.local", "{http.request.host}"}, {"{x}", "{unknown}"}}})
	x := newRouted(t, httptest.NewRequest("GET", "http://example.com/", nil), "")
	got := answer(t, c, x, 200, http.Header{"Content-Type": {"text/css"}}, "at backend.local {x}")
	if got != "at example.com {unknown}" {
		t.Error(got)
	}
}

func TestReplaceCaddyfile(t *testing.T) {
	var f Replace
	err := parse(&f, "replace content_type x {\n a b\n \"c d\" \"\"\n content_type text/html */*+json\n}")
	if err != nil {
		t.Fatal(err)
	}
	if want := []ReplacePair{{"content_type", "x"}, {"a", "b"}, {"c d", ""}}; !slices.Equal(f.Pairs, want) {
		t.Errorf("pairs %v", f.Pairs)
	}
	if !slices.Equal(f.ContentTypes, []string{"text/html", "*/*+json"}) {
		t.Errorf("types %v", f.ContentTypes)
	}
	for text, want := range map[string]string{
		"replace":                "replaces nothing",
		"replace a":              "0 more arguments",
		"replace a b c":          "2 more arguments",
		"replace {\n a\n}":       "write '<search> <replacement>'",
		"replace a b {\n a c\n}": "replaced already",
		"replace \"\" b":         "it needs 1",
		"replace " + strings.Repeat("a", 4097) + " b": "4096 are the most",
		"replace a b {\n content_type\n}":             "lacks its patterns",
		"replace a b {\n content_type html\n}":        "'html' is no pattern",
		"replace a b {\n content_type text/[\n}":      "'text/[' is no pattern",
	} {
		wantError(t, parse(new(Replace), text), text, want)
	}
	for _, f := range []*Replace{
		{},
		{Pairs: []ReplacePair{{"", "a"}}},
		{Pairs: []ReplacePair{{"a", "b"}, {"a", "c"}}},
		{Pairs: []ReplacePair{{"a", "b"}}, ContentTypes: []string{"html"}},
	} {
		if load(t, f) == nil {
			t.Errorf("%+v loads", f)
		}
	}
}

func BenchmarkReplace(b *testing.B) {
	page := bytes.Repeat([]byte("<p>Some text that has a https://backend.local/ in it.</p>\n"), 1000)
	pairs := []ReplacePair{{"https://backend.local", "https://example.com"}, {"http://backend.local", "https://example.com"}}
	finder, replacements := newTextFinder(pairs), []string{pairs[0].Replacement, pairs[1].Replacement}
	p := make([]byte, 32<<10)
	b.SetBytes(int64(len(page)))
	b.ReportAllocs()
	for b.Loop() {
		body := newReplacingBody(io.NopCloser(bytes.NewReader(page)), finder, replacements)
		for {
			if _, err := body.Read(p); err != nil {
				break
			}
		}
	}
}
