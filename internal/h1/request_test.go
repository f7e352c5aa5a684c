package h1

import (
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
)

// sent returns what a server receives of a request: its first line, its fields in order, its body and its trailers.
func sent(t *testing.T, r *http.Request, options Options) (line string, fields []string, body, trailers string) {
	t.Helper()
	heads := make(chan [3]string, 1)
	h := testClient(t, serve(t, func(p *peer) {
		head, body, trailers := p.request()
		heads <- [3]string{head, body, trailers}
		p.write("HTTP/1.1 204 No Content\r\n\r\n")
		p.ended()
	}), options)
	if got := do(h, r); got.err != nil {
		t.Fatalf("%s %v: %v", r.Method, r.URL, got.err)
	}
	parts := <-heads
	lines := strings.Split(strings.TrimSuffix(parts[0], "\r\n"), "\r\n")
	slices.Sort(lines[1:])
	return lines[0], lines[1:], parts[1], parts[2]
}

func TestTargets(t *testing.T) {
	for _, c := range []struct {
		name, method string
		url          url.URL
		want         string
	}{
		{"path", "GET", url.URL{Path: "/a/b"}, "/a/b"},
		{"path and query", "GET", url.URL{Path: "/a", RawQuery: "b=c&d"}, "/a?b=c&d"},
		{"query that is empty", "GET", url.URL{Path: "/a", ForceQuery: true}, "/a?"},
		{"no path", "GET", url.URL{}, "/"},
		{"no path but a query", "GET", url.URL{RawQuery: "a"}, "/?a"},
		{"path to be escaped", "GET", url.URL{Path: "/a b\r\n\x00?é"}, "/a%20b%0D%0A%00%3F%C3%A9"},
		{"path escaped otherwise", "GET", url.URL{Path: "/a/b", RawPath: "/a%2fb"}, "/a%2fb"},
		{"two slashes", "GET", url.URL{Path: "//a"}, "//a"},
		{"fragment", "GET", url.URL{Path: "/a", Fragment: "b"}, "/a"},
		{"asterisk", "OPTIONS", url.URL{Path: "*"}, "*"},
		{"opaque", "GET", url.URL{Opaque: "/a%2F/b", RawQuery: "c"}, "/a%2F/b?c"},
		{"opaque with authority", "GET", url.URL{Scheme: "http", Opaque: "//x.test/a"}, "http://x.test/a"},
		{"CONNECT", "CONNECT", url.URL{Host: "u.test:443"}, "h.test:8080"},
		{"query beyond ASCII", "GET", url.URL{Path: "/", RawQuery: "\xc3\xa9"}, "/?\xc3\xa9"},
		{"extension method", "M-SEARCH", url.URL{Path: "/"}, "/"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := &http.Request{Method: c.method, URL: &c.url, Host: "h.test:8080"}
			p, err := appendHead(nil, &Exchange{Request: r}, false)
			want := c.method + " " + c.want + " HTTP/1.1\r\nHost: h.test:8080\r\n\r\n"
			if err != nil || string(p) != want {
				t.Errorf("got %q, %v; want %q", p, err, want)
			}
		})
	}
}

func TestHosts(t *testing.T) {
	for _, c := range []struct{ host, urlHost, want string }{
		{"a.test", "b.test", "a.test"},
		{"", "b.test:80", "b.test:80"},
		{"", "", ""},
		{"bücher.example", "", "xn--bcher-kva.example"},
		{"bücher.example:8080", "", "xn--bcher-kva.example:8080"},
		{"[::1]:80", "", "[::1]:80"},
		{"[fe80::1%eth0]:80", "", "[fe80::1]:80"},
		{"[fe80::1%25eth0]", "", "[fe80::1]"},
	} {
		for _, method := range []string{"GET", "CONNECT"} {
			r := &http.Request{Method: method, URL: &url.URL{Host: c.urlHost}, Host: c.host}
			target := "/"
			if method == "CONNECT" {
				if target = c.want; target == "" {
					continue
				}
			}
			want := method + " " + target + " HTTP/1.1\r\nHost: " + c.want + "\r\n\r\n"
			if p, err := appendHead(nil, &Exchange{Request: r}, false); err != nil || string(p) != want {
				t.Errorf("%s %q: got %q, %v; want %q", method, c.host, p, err, want)
			}
		}
	}
}

func TestFieldsSent(t *testing.T) {
	for _, c := range []struct {
		name    string
		header  http.Header
		options Options
		want    []string // without Host
	}{
		{"none", nil, Options{}, nil},
		{"several values", http.Header{"A": {"1", "2"}}, Options{}, []string{"A: 1", "A: 2"}},
		{"as written", http.Header{"x-Odd": {"1"}}, Options{}, []string{"x-Odd: 1"}},
		{"white space around", http.Header{"A": {" \t1\r\n"}, "B": {""}}, Options{}, []string{"A: 1", "B: "}},
		{"no values", http.Header{"A": nil, "not a name": {}}, Options{}, nil},
		{"user agent", http.Header{"User-Agent": {"x"}}, Options{}, []string{"User-Agent: x"}},
		{"user agent that is empty", http.Header{"User-Agent": {""}}, Options{}, nil},
		{"those of framing", http.Header{
			"Host": {"x"}, "Content-Length": {"5"}, "Transfer-Encoding": {"gzip"}, "Trailer": {"A"},
		}, Options{}, nil},
		{"those of framing in any case", http.Header{
			"host": {"x"}, "content-length": {"5"}, "TRANSFER-ENCODING": {"chunked"}, "trailer": {"A"},
		}, Options{}, nil},
		{"connection", http.Header{"Connection": {"x"}}, Options{}, []string{"Connection: x"}},
		{"keep-alives disabled", http.Header{"Connection": {"x"}, "connection": {"y"}}, Options{DisableKeepAlives: true}, []string{"Connection: close"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := get(http.MethodGet)
			r.Header = c.header
			line, fields, _, _ := sent(t, r, c.options)
			want := slices.Sorted(slices.Values(append(c.want, "Host: h.test")))
			if line != "GET / HTTP/1.1" || !slices.Equal(fields, want) {
				t.Errorf("got %q %q, want %q", line, fields, want)
			}
		})
	}
}

func TestFramingSent(t *testing.T) {
	const long = 100_000
	for _, c := range []struct {
		name, method string
		body         io.Reader
		length       int64
		trailer      http.Header
		want         []string
		wantBody     string
		wantTrailer  string
	}{
		{name: "GET without body", method: "GET"},
		{name: "DELETE without body", method: "DELETE"},
		{name: "POST without body", method: "POST", want: []string{"Content-Length: 0"}},
		{name: "PUT without body", method: "PUT", want: []string{"Content-Length: 0"}},
		{name: "PATCH without body", method: "PATCH", want: []string{"Content-Length: 0"}},
		{name: "POST with none", method: "POST", body: http.NoBody, want: []string{"Content-Length: 0"}},
		{name: "POST with an empty one", method: "POST", body: strings.NewReader(""), length: -1, want: []string{"Transfer-Encoding: chunked"}},
		{name: "known length", method: "POST", body: strings.NewReader("hello"), length: 5, want: []string{"Content-Length: 5"}, wantBody: "hello"},
		{name: "GET with body", method: "GET", body: strings.NewReader("hello"), length: 5, want: []string{"Content-Length: 5"}, wantBody: "hello"},
		{name: "longer than its length", method: "POST", body: strings.NewReader("hello!"), length: 5, want: []string{"Content-Length: 5"}, wantBody: "hello"},
		{name: "large", method: "POST", body: repeat('x', long), length: long, want: []string{"Content-Length: 100000"}, wantBody: strings.Repeat("x", long)},
		{
			name: "large, chunked", method: "POST", body: repeat('x', long), length: -1,
			want: []string{"Transfer-Encoding: chunked"}, wantBody: strings.Repeat("x", long),
		},
		{
			name: "byte by byte", method: "POST", body: oneByte{strings.NewReader("hello")}, length: -1,
			want: []string{"Transfer-Encoding: chunked"}, wantBody: "hello",
		},
		{
			name: "trailers", method: "POST", body: strings.NewReader("hello"), length: 5, trailer: http.Header{"A": {"1", "2"}},
			want: []string{"Trailer: A", "Transfer-Encoding: chunked"}, wantBody: "hello", wantTrailer: "A: 1\r\nA: 2\r\n",
		},
		{
			name: "trailers without body", method: "POST", body: strings.NewReader(""), trailer: http.Header{"A": {"1"}},
			want: []string{"Trailer: A", "Transfer-Encoding: chunked"}, wantTrailer: "A: 1\r\n",
		},
		{
			name: "trailers that cannot be some", method: "POST", body: strings.NewReader("x"), length: -1,
			trailer: http.Header{"Content-Length": {"1"}, "transfer-encoding": {"x"}},
			want:    []string{"Transfer-Encoding: chunked"}, wantBody: "x",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := get(c.method)
			r.ContentLength, r.Trailer = c.length, c.trailer
			if c.body != nil {
				r.Body = io.NopCloser(c.body)
			}
			if c.body == http.NoBody {
				r.Body = http.NoBody
			}
			_, fields, body, trailers := sent(t, r, Options{})
			want := slices.Sorted(slices.Values(append(c.want, "Host: h.test")))
			if !slices.Equal(fields, want) || body != c.wantBody || trailers != c.wantTrailer {
				t.Errorf("got %q, %d bytes %.20q, trailers %q", fields, len(body), body, trailers)
			}
		})
	}
}

// repeat reads n times c.
func repeat(c byte, n int64) io.Reader { return io.LimitReader(repeated(c), n) }

type repeated byte

func (c repeated) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = byte(c)
	}
	return len(p), nil
}

// oneByte reads nothing, then a byte, and the last one together with the end.
type oneByte struct{ *strings.Reader }

func (r oneByte) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p[:min(len(p), 1)])
	if r.Len() == 0 {
		err = io.EOF
	}
	return n, err
}

func TestRequestsThatCannotBeSent(t *testing.T) {
	for name, change := range map[string]func(r *http.Request){
		"method with space":  func(r *http.Request) { r.Method = "GET /x HTTP/1.1\r\nA:" },
		"no method":          func(r *http.Request) { r.Method = "" },
		"query with CR LF":   func(r *http.Request) { r.URL.RawQuery = "a HTTP/1.1\r\nB: c" },
		"query with space":   func(r *http.Request) { r.URL.RawQuery = "a b" },
		"query with DEL":     func(r *http.Request) { r.URL.RawQuery = "a\x7f" },
		"opaque with LF":     func(r *http.Request) { r.URL.Opaque = "/a\nB: c" },
		"host with CR LF":    func(r *http.Request) { r.Host = "a\r\nB: c" },
		"host with space":    func(r *http.Request) { r.Host = "a b" },
		"CONNECT to nowhere": func(r *http.Request) { r.Method, r.URL, r.Host = "CONNECT", &url.URL{}, "" },
		"value with CR LF":   func(r *http.Request) { r.Header.Set("A", "b\r\nC: d") },
		"value with CR":      func(r *http.Request) { r.Header.Set("A", "b\rC: d") },
		"value with NUL":     func(r *http.Request) { r.Header.Set("A", "b\x00") },
		"name with CR LF":    func(r *http.Request) { r.Header["A\r\nB"] = []string{"c"} },
		"name with colon":    func(r *http.Request) { r.Header["A: b"] = []string{"c"} },
		"name that is empty": func(r *http.Request) { r.Header[""] = []string{"c"} },
	} {
		t.Run(name, func(t *testing.T) {
			seen := make(chan string, 1)
			h := testClient(t, serve(t, func(p *peer) {
				b, _ := io.ReadAll(p.r)
				seen <- string(b)
			}), Options{})
			r := get(http.MethodGet)
			change(r)
			got := do(h, r)
			var e *Error
			var invalid *RequestError
			if !errors.As(got.err, &e) || !e.Unseen || !errors.As(got.err, &invalid) {
				t.Errorf("error %v, want a RequestError, unseen", got.err)
			}
			if s := <-seen; s != "" {
				t.Errorf("sent %q", s)
			}
		})
	}
}

// edited leaves out some fields and adds others.
type edited struct {
	omitted string
	added   []Field
}

func (e edited) Omits(name string) bool { return name == e.omitted }
func (e edited) Added() []Field         { return e.added }

func TestEdit(t *testing.T) {
	r := get(http.MethodGet)
	r.Header = http.Header{"A": {"1"}, "B": {"2"}, "Connection": {"close"}}
	for _, c := range []struct {
		edit Edit
		host string
		want []string
		err  bool
	}{
		{nil, "", []string{"A: 1", "B: 2", "Connection: close", "Host: h.test"}, false},
		{nil, "other.test", []string{"A: 1", "B: 2", "Connection: close", "Host: other.test"}, false},
		{edited{"Connection", nil}, "", []string{"A: 1", "B: 2", "Host: h.test"}, false},
		{edited{"A", []Field{{"A", " 3 "}, {"a", "4"}}}, "", []string{"A: 3", "B: 2", "Connection: close", "Host: h.test", "a: 4"}, false},
		{edited{"A", []Field{{"host", "x"}, {"Content-Length", "5"}}}, "", []string{"B: 2", "Connection: close", "Host: h.test"}, false},
		{edited{"", []Field{{"A", "b\r\nc: d"}}}, "", nil, true},
		{edited{"", []Field{{"A b", "c"}}}, "", nil, true},
	} {
		p, err := appendHead(nil, &Exchange{Request: r, Edit: c.edit, Host: c.host}, false)
		if c.err {
			if err == nil {
				t.Errorf("%v: no error but %q", c.edit, p)
			}
			continue
		}
		lines := strings.Split(strings.TrimSuffix(string(p), "\r\n\r\n"), "\r\n")[1:]
		slices.Sort(lines)
		if err != nil || !slices.Equal(lines, c.want) {
			t.Errorf("%v: %q, %v, want %q", c.edit, lines, err, c.want)
		}
	}
}
