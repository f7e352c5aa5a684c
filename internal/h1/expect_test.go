package h1

import (
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

// interims takes interim answers.
type interims struct {
	codes   []int
	headers []http.Header
	err     error
	before  func() // is called with each; may be nil
}

// Interim implements Interim.
func (i *interims) Interim(code int, header http.Header) error {
	if i.before != nil {
		i.before()
	}
	i.codes, i.headers = append(i.codes, code), append(i.headers, header)
	return i.err
}

func TestInterimAnswersAreTold(t *testing.T) {
	address := serve(t, func(p *peer) {
		for p.head() != "" {
			p.write("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: <a>\r\n\r\n" + plain)
		}
	})
	h := testClient(t, address, Options{})
	var told interims
	got := doExchange(h, &Exchange{Request: get(http.MethodGet), Interim: &told})
	if got.body != "plain" || !slices.Equal(told.codes, []int{100, 103}) || told.headers[1].Get("Link") != "<a>" {
		t.Errorf("got %q, %v; told of %v %v", got.body, got.err, told.codes, told.headers)
	}
	told.err = errTest
	got = doExchange(h, &Exchange{Request: get(http.MethodGet), Interim: &told})
	var e *Error
	if !errors.Is(got.err, errTest) || !errors.As(got.err, &e) || e.Phase != Receiving || h.openCount() != 0 {
		t.Errorf("error %#v; %d connections", got.err, h.openCount())
	}
}

// expecting is a request whose body is held back, and which says when it is read.
func expecting(known bool) (r *http.Request, read chan struct{}) {
	read = make(chan struct{})
	r = post("hello", known)
	r.Header.Set("Expect", "100-Continue")
	r.Body = io.NopCloser(&announcing{strings.NewReader("hello"), read})
	return r, read
}

// announcing closes a channel when it is read for the first time.
type announcing struct {
	*strings.Reader
	read chan struct{}
}

func (a *announcing) Read(p []byte) (int, error) {
	if a.read != nil {
		close(a.read)
		a.read = nil
	}
	return a.Reader.Read(p)
}

func TestBodyIsSentWhenAskedFor(t *testing.T) {
	for _, known := range []bool{true, false} {
		r, read := expecting(known)
		h := testClient(t, serve(t, func(p *peer) {
			for {
				head := p.head()
				if head == "" {
					return
				}
				select {
				case <-read:
					t.Error("the body was read before it was asked for")
				default:
				}
				p.write("HTTP/1.1 100 Continue\r\n\r\n")
				p.write("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n" + p.body(head))
			}
		}), Options{ExpectTimeout: time.Hour})
		x := &Exchange{Request: r}
		x.Interim = &interims{before: func() {
			if x.AskedForBody() {
				t.Error("the body may be read before the 100 was told of")
			}
		}}
		got := doExchange(h, x)
		if got.body != "hello" || got.err != nil || !x.AskedForBody() {
			t.Errorf("got %q, %v; asked: %v", got.body, got.err, x.AskedForBody())
		}
		eventually(t, "the connection is given back", func() bool { return h.idleCount() == 1 })
	}
}

func TestBodyIsNotSentWhenRefused(t *testing.T) {
	for _, answer := range []string{
		"HTTP/1.1 417 Expectation Failed\r\nContent-Length: 0\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nplain",
		"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 401 Unauthorized\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
	} {
		r, read := expecting(true)
		rest := make(chan string, 1)
		h := testClient(t, serve(t, func(p *peer) {
			p.head()
			p.write(answer)
			b, _ := io.ReadAll(p.r)
			rest <- string(b)
		}), Options{ExpectTimeout: time.Hour})
		x := &Exchange{Request: r}
		if got := doExchange(h, x); got.err != nil || x.AskedForBody() {
			t.Errorf("%v; asked: %v", got.err, x.AskedForBody())
		}
		// Without its body the request is not whole, so nothing may follow it.
		if got := <-rest; got != "" || h.openCount() != 0 {
			t.Errorf("sent %q; %d connections", got, h.openCount())
		}
		select {
		case <-read:
			t.Error("the body was read")
		default:
		}
	}
}

func TestBodyIsSentAfterAWhile(t *testing.T) {
	r, _ := expecting(false)
	h := testClient(t, serve(t, func(p *peer) {
		_, body, _ := p.request()
		p.write("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n" + body)
		p.ended()
	}), Options{ExpectTimeout: time.Millisecond})
	x := &Exchange{Request: r}
	if got := doExchange(h, x); got.body != "hello" || !x.AskedForBody() {
		t.Errorf("got %q, %v; asked: %v", got.body, got.err, x.AskedForBody())
	}
}

// The wait for 100 (Continue) ends with the connection.
func TestConnectionEndsWhileBodyIsHeldBack(t *testing.T) {
	r, read := expecting(true)
	h := testClient(t, serve(t, func(p *peer) { p.head() }), Options{ExpectTimeout: time.Hour})
	x := &Exchange{Request: r}
	if got := doExchange(h, x); !errors.Is(got.err, ErrClosedByServer) || x.AskedForBody() {
		t.Errorf("%v; asked: %v", got.err, x.AskedForBody())
	}
	x.upload.start()
	select {
	case <-read:
		t.Error("the body is sent behind the end of its exchange")
	default:
	}
}

// A server may answer while it still reads the body it asked for, whose trailers come last.
func TestAnswerBeforeTheTrailers(t *testing.T) {
	answered := make(chan struct{})
	seen := make(chan string, 1)
	h := testClient(t, serve(t, func(p *peer) {
		head := p.head()
		p.write("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\npl")
		body, trailers := p.bodyAndTrailers(head)
		p.write("ain")
		seen <- body + trailers
		p.ended()
	}), Options{ExpectTimeout: time.Hour})
	body, in := io.Pipe()
	r := post("", false)
	r.Header.Set("Expect", "100-continue")
	r.Body, r.Trailer = body, http.Header{"A": {"1"}}
	x := &Exchange{Request: r}
	go func() {
		_, _ = io.WriteString(in, "hel")
		<-answered
		_, _ = io.WriteString(in, "lo")
		_ = in.Close()
	}()
	if err := h.RoundTrip(x); err != nil {
		t.Fatal(err)
	}
	defer x.End()
	close(answered)
	if b, err := io.ReadAll(x.Response.Body); string(b) != "plain" || err != nil {
		t.Errorf("got %q, %v", b, err)
	}
	if got := <-seen; got != "helloA: 1\r\n" {
		t.Errorf("the server saw %q", got)
	}
}
