package h1server

import (
	"context"
	"net/http"
	"net/http/httptest"
	"reflect"
	"testing"
)

// requests are taken over with, or follow that.
var requests = []string{
	"GET /a%20b?c=d HTTP/1.1\r\nHost: a\r\nB: c\r\nb: d\r\n\r\n", "POST /a HTTP/1.1\r\nHost: a:80\r\nContent-Length: 4\r\nCookie: a=b\r\n\r\nbody",
	"GET http://b/c HTTP/1.1\r\nHost: a\r\nPragma: no-cache\r\n\r\n", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTrailer: A\r\n\r\n4\r\nbody\r\n0\r\nA: b\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
}

func TestHandlersSeeTheSameRequests(t *testing.T) {
	for _, transport := range transports {
		t.Run(transport.name, func(t *testing.T) {
			seen := make(chan *http.Request, 1)
			handler := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				seen <- r.Clone(context.Background())
			})
			site, s := adopting(t, transport.secure, handler, Options{})
			for first := range requests {
				site.engine.Store(s)
				ours := site.dial(t)
				for _, request := range requests[first:] {
					site.engine.Store(s)
					ours.send(request)
					ours.answer()
					got := <-seen
					site.engine.Store(nil)
					theirs := site.dial(t)
					theirs.send(request)
					theirs.answer()
					want := <-seen
					site.engine.Store(s)
					if got.RemoteAddr != ours.LocalAddr().String() {
						t.Errorf("the client is %s, want %s", got.RemoteAddr, ours.LocalAddr())
					}
					if transport.secure && (got.TLS == nil || got.TLS.Version != want.TLS.Version) {
						t.Error("nothing is known of TLS")
					}
					want.RemoteAddr, want.TLS = got.RemoteAddr, got.TLS
					expectSame(t, got, want)
				}
			}
		})
	}
}

func TestAdoptLeavesOthersAlone(t *testing.T) {
	s := New(says("a"), Options{})
	if s.Adopt(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/", nil)) {
		t.Error("there is no connection to take over")
	}
	site := newSite(t, false, s, says("a"))
	for name, request := range map[string]string{
		"HTTP/1.0": "GET / HTTP/1.0\r\n\r\n", "last": "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "upgrade": upgrade,
		"expectation": expecting + "body", "connect": "CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			c := site.dial(t)
			c.send(request)
			c.answer()
			if n := site.adopted.Load(); n != 0 {
				t.Error("the connection was taken over")
			}
		})
	}
}

func TestPanicsAreReported(t *testing.T) {
	type report struct {
		client string
		value  any
		stack  bool
	}
	reports := make(chan report, 1)
	handler := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/abort":
			panic(http.ErrAbortHandler)
		case "/panic":
			panic("a word")
		}
	})
	site, _ := adopting(t, false, handler, Options{Panicked: func(client string, value any, stack []byte) {
		reports <- report{client, value, len(stack) > 0}
	}})
	for _, path := range []string{"/abort", "/panic"} {
		c := site.dialAdopted(t)
		c.request(path)
		c.expectClosed()
		if path == "/abort" {
			continue
		}
		if got, want := <-reports, (report{c.LocalAddr().String(), "a word", true}); !reflect.DeepEqual(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
	}
}

func TestMisuseIsReported(t *testing.T) {
	words := make(chan string, 1)
	site, _ := adopting(t, false, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/twice" {
			w.WriteHeader(200)
			w.WriteHeader(201)
		}
	}), Options{Misused: func(text string) { words <- text }})
	c := site.dialAdopted(t)
	c.get("/twice")
	if got := <-words; got != "http: superfluous response.WriteHeader call" {
		t.Errorf("got %q", got)
	}
}
