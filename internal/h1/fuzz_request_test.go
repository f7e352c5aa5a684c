package h1

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
)

// fuzzedRequest is a request made of arbitrary parts.
type fuzzedRequest struct {
	method, path, query, opaque, host string
	fields, trailers                  string // lines of "name: value"
	body                              []byte
	known                             bool // its length
	pieces                            []byte
}

func (f *fuzzedRequest) build() *http.Request {
	r := &http.Request{
		Method: f.method, URL: &url.URL{Path: f.path, RawQuery: f.query, Opaque: f.opaque}, Host: f.host,
		Header: fieldsOf(f.fields), Trailer: fieldsOf(f.trailers), ContentLength: -1,
		Body: io.NopCloser(&memConn{data: f.body, pieces: f.pieces}),
	}
	if f.known {
		r.ContentLength = int64(len(f.body))
	}
	return r
}

// fieldsOf makes a header of lines, whatever they contain.
func fieldsOf(lines string) http.Header {
	h := make(http.Header)
	for line := range strings.SplitSeq(lines, "\n") {
		if name, value, ok := strings.Cut(line, ":"); ok {
			h[name] = append(h[name], value)
		}
	}
	return h
}

// FuzzRequest holds that a request is refused before anything of it is sent, or is the same to the server as it is here.
func FuzzRequest(f *testing.F) {
	f.Add("GET", "/a b", "c=d", "", "h.test", "A: 1\nB: 2\nA: 3", "", []byte{}, true, []byte{})
	f.Add("POST", "/", "", "", "h.test:80", "Content-Length: 5\ntransfer-encoding: x", "T: 1\nContent-Length: 3", []byte("hello"), false, []byte{1})
	f.Add("POST", "", "", "//h.test/x", "[fe80::1%25eth0]:80", "User-Agent:\nHost: x\nExpect: 100-continue", "", []byte("hello"), true, []byte{0})
	f.Add("CONNECT", "", "", "", "bücher.example:443", "A:\r", "", []byte{}, true, []byte{})
	f.Add("OPTIONS", "*", "", "", "", "Pragma: no-cache\nA: b\rC: d", "", []byte{}, true, []byte{})
	f.Add("GET", "/\r\nA: b", "a b", "/x y", "a\r\nb", "A b: c", "x y: z", []byte("x"), false, []byte{})
	f.Fuzz(func(t *testing.T, method, path, query, opaque, host, fields, trailers string, body []byte, known bool, pieces []byte) {
		fr := &fuzzedRequest{method, path, query, opaque, host, fields, trailers, body, known, pieces}
		sent := fr.build()
		server := new(pipeServer)
		err := server.serve(t, sent)
		var invalid *RequestError
		switch {
		case errors.As(err, &invalid):
			if server.raw.Len() > 0 && !strings.Contains(server.raw.String(), "chunked") { // trailers are looked at when they are sent
				t.Fatalf("refused with %v after %q was sent", err, server.raw.String())
			}
			return
		case err != nil:
			t.Fatalf("%v; the server: %v, got %q", err, server.err, server.raw.String())
		}
		if want := targetOf(t, sent); server.target != want || server.method != method {
			t.Fatalf("line %q %q, want %q %q", server.method, server.target, method, want)
		}
		compareRequests(t, sent, server, body)
	})
}

// targetOf is the target that net/url has for a request.
func targetOf(t *testing.T, r *http.Request) string {
	if r.Method == http.MethodConnect && r.URL.Path == "" && r.URL.Opaque == "" {
		host, err := hostOf(&Exchange{Request: r})
		if err != nil {
			t.Fatal(err)
		}
		return host
	}
	return r.URL.RequestURI()
}

func compareRequests(t *testing.T, sent *http.Request, server *pipeServer, body []byte) {
	t.Helper()
	got := server.request
	if host, err := hostOf(&Exchange{Request: sent}); err != nil || got.Host != host {
		t.Fatalf("host %q, want %q, %v", got.Host, host, err)
	}
	if !bytes.Equal(server.body, body) {
		t.Fatalf("body %q, want %q", server.body, body)
	}
	want := received(sent.Header)
	for _, own := range []string{"Host", "Content-Length", "Transfer-Encoding", "Trailer"} {
		delete(want, own)
		got.Header.Del(own)
	}
	if p := want["Pragma"]; len(p) > 0 && want["Cache-Control"] == nil {
		got.Header.Del("Cache-Control") // net/http makes one of Pragma
	}
	if agent, ok := sent.Header["User-Agent"]; ok && agent[0] == "" {
		delete(sent.Header, "User-Agent")
		want = received(sent.Header)
		for _, own := range []string{"Host", "Content-Length", "Transfer-Encoding", "Trailer"} {
			delete(want, own)
		}
	}
	if have := received(got.Header); !reflect.DeepEqual(have, want) {
		t.Fatalf("header %q, want %q", have, want)
	}
	if hasBody(sent) {
		want := received(sent.Trailer)
		for name := range want {
			if !isTrailer(name) {
				delete(want, name)
			}
		}
		if have := received(got.Trailer); !reflect.DeepEqual(have, want) {
			t.Fatalf("trailers %q, want %q", have, want)
		}
	}
}

// received is a header as a server has it: canonical names, trimmed values, of which the order is lost where
// names differed.
func received(h http.Header) http.Header {
	out := make(http.Header)
	for name, values := range h {
		for _, v := range values {
			name := http.CanonicalHeaderKey(name)
			out[name] = append(out[name], strings.Trim(v, " \t\r\n"))
		}
	}
	for _, values := range out {
		slices.Sort(values)
	}
	return out
}

// pipeServer reads one request as net/http does, whatever its target.
type pipeServer struct {
	raw            bytes.Buffer
	method, target string
	request        *http.Request
	body           []byte
	err            error
}

// serve sends the request to the server through the engine.
func (s *pipeServer) serve(t *testing.T, r *http.Request) error {
	client, server := net.Pipe()
	defer server.Close()
	var wg sync.WaitGroup
	wg.Go(func() {
		if s.err = s.read(server); s.err == nil {
			_, _ = io.WriteString(server, "HTTP/1.1 204 No Content\r\n\r\n")
		}
		_ = server.Close()
	})
	defer wg.Wait()
	h := pipeHost()
	x := &Exchange{Request: r.WithContext(context.WithValue(context.Background(), memKey{}, client))}
	err := h.RoundTrip(x)
	x.End()
	_ = client.Close()
	if err == nil {
		x.Response.Body.Close() // of a tunnel
	}
	// Whoever wrote the body may be about to give the connection back.
	eventually(t, "the connection is closed", func() bool {
		if c := h.idleTake(); c != nil {
			c.close()
		}
		return h.openCount() == 0
	})
	return err
}

// pipeHost is as memHost for connections of any kind.
var pipeHost = sync.OnceValue(func() *Host {
	return NewClient(Options{ExpectTimeout: 1, Dial: func(ctx context.Context, _ string) (net.Conn, error) {
		return ctx.Value(memKey{}).(net.Conn), nil
	}}).Host("pipe")
})

func (s *pipeServer) read(conn net.Conn) error {
	r := bufio.NewReader(io.TeeReader(conn, &s.raw))
	line, err := r.ReadString('\n')
	if err != nil {
		return err
	}
	parts := strings.Split(strings.TrimSuffix(line, "\r\n"), " ")
	if len(parts) != 3 || parts[2] != "HTTP/1.1" {
		return errors.New("malformed request line " + line)
	}
	s.method, s.target = parts[0], parts[1]
	br := bufio.NewReader(io.MultiReader(strings.NewReader(s.method+" / HTTP/1.1\r\n"), r))
	if s.request, err = http.ReadRequest(br); err != nil {
		return err
	}
	s.body, err = io.ReadAll(s.request.Body)
	return err
}
