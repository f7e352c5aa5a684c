package filter

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"

	"pgregory.net/rapid"
)

func TestBodyLimitKnownLength(t *testing.T) {
	c := chainOf(t, &BodyLimit{MaxRequest: 10})
	for length, status := range map[int64]int{-1: 0, 0: 0, 10: 0, 11: http.StatusRequestEntityTooLarge} {
		r := httptest.NewRequest("POST", "/", nil)
		r.ContentLength = length
		x := newRouted(t, r, "")
		passed, err := request(c, x)
		if got := statusOf(t, err); got != status || passed != (status == 0) {
			t.Errorf("length %d: status %d, want %d", length, got, status)
		}
		var tooLarge *http.MaxBytesError
		if err != nil && !errors.As(err, &tooLarge) {
			t.Errorf("%v is no MaxBytesError", err)
		}
	}
}

// A body without a known length passes up to the limit, and not a byte beyond it, however it is read.
func TestBodyLimitStreamed(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		limit := rapid.IntRange(1, 20).Draw(rt, "limit")
		length := rapid.IntRange(0, 30).Draw(rt, "length")
		wrap := rapid.SampledFrom([]func(io.Reader) io.Reader{
			func(r io.Reader) io.Reader { return r }, iotest.OneByteReader, iotest.HalfReader, iotest.DataErrReader,
		}).Draw(rt, "wrap")
		r := httptest.NewRequest("POST", "/", nil)
		r.ContentLength = -1
		x := newRouted(t, r, "")
		c := chainOf(t, &BodyLimit{MaxRequest: int64(limit), MaxResponse: int64(limit)})
		source := func() io.ReadCloser { return io.NopCloser(wrap(strings.NewReader(strings.Repeat("x", length)))) }
		up, _ := c.RequestBody(x.Context, source())
		down, _ := c.ResponseBody(x.Context, source())
		for i, body := range []io.Reader{up, down} {
			got, err := io.ReadAll(body)
			if len(got) != min(length, limit) || (err != nil) != (length > limit) {
				rt.Fatalf("got %d bytes and %v", len(got), err)
			}
			var tooLarge *http.MaxBytesError
			if err != nil && errors.As(err, &tooLarge) != (i == 0) {
				rt.Fatalf("body %d ends with %v", i, err)
			}
		}
	})
}

// A tunnel is no body: a WebSocket over HTTP/2, but no other CONNECT.
func TestTunnelsHaveNoBodies(t *testing.T) {
	for _, tunnel := range []bool{true, false} {
		r := httptest.NewRequest(http.MethodConnect, "/", nil)
		r.ContentLength = -1
		if tunnel {
			r.Proto, r.ProtoMajor, r.ProtoMinor = "HTTP/2.0", 2, 0
			r.Header[":protocol"] = []string{"websocket"}
		}
		x := newRouted(t, r, "")
		for _, f := range []RequestBodyFilter{&BodyLimit{MaxRequest: 1}, &Bandwidth{Upload: 1}} {
			client := io.NopCloser(strings.NewReader("1234567890"))
			body, err := f.RequestBody(x.Context, client)
			if err != nil {
				t.Fatal(err)
			}
			if left := body == client; left != tunnel {
				t.Errorf("%T, tunnel %v: left alone is %v", f, tunnel, left)
			}
		}
	}
}

func TestBodyLimitAnswers(t *testing.T) {
	c := chainOf(t, &BodyLimit{MaxResponse: 10})
	for _, test := range []struct {
		method         string
		status, length int
		want           int
	}{
		{"GET", 200, 10, 0},
		{"GET", 200, 11, http.StatusBadGateway},
		{"HEAD", 200, 11, 0},
		{"GET", 304, 11, 0},
	} {
		x := newRouted(t, httptest.NewRequest(test.method, "/", nil), "")
		x.Writer.Header().Set("Content-Length", strconv.Itoa(test.length))
		err := c.Response(x.Context, test.status, func(int) error { return nil })
		if got := statusOf(t, err); got != test.want {
			t.Errorf("%+v: status %d (%v)", test, got, err)
		}
	}
}

func TestBodyLimitCaddyfile(t *testing.T) {
	var f BodyLimit
	if err := parse(&f, "body_limit 10MB {\n response 1GiB\n}"); err != nil || f.MaxRequest != 10_000_000 || f.MaxResponse != 1<<30 {
		t.Errorf("%+v, %v", &f, err)
	}
	for text, want := range map[string]string{
		"body_limit":                                   "limits nothing",
		"body_limit much":                              "'much' is no size above 0",
		"body_limit 0":                                 "'0' is no size above 0",
		"body_limit 1MB 2MB":                           "unexpected argument '2MB'",
		"body_limit 1MB {\n answer 1MB\n}":             "there is no option 'answer'",
		"body_limit {\n response\n}":                   "response lacks its value",
		"body_limit {\n response 1\n response 2\n}":    "response is set already",
		"body_limit 99999999999999999999999999999999E": "is no size above 0",
	} {
		wantError(t, parse(new(BodyLimit), text), text, want)
	}
	for _, f := range []*BodyLimit{{}, {MaxRequest: -1}, {MaxRequest: 1, MaxResponse: -1}} {
		if load(t, f) == nil {
			t.Errorf("%+v loads", f)
		}
	}
}
