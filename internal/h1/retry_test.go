package h1

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
)

// spoil is what a server does with the second request of its first connection, once it has read it whole. On other connections it answers.
type spoil func(p *peer)

// spoiled returns a client that has used a connection, whose next request will be spoiled, and how many requests the server read
// since.
func spoiled(t *testing.T, act spoil) (*Host, *atomic.Int32) {
	t.Helper()
	var seen atomic.Int32
	address := serve(t, func(p *peer) {
		for n := 0; ; n++ {
			if head, _, _ := p.request(); head == "" {
				return
			}
			if p.n > 0 || n > 0 {
				seen.Add(1)
			}
			if p.n == 0 && n == 1 {
				act(p)
				return
			}
			p.write(plain)
		}
	})
	h := testClient(t, address, Options{})
	if got := do(h, get(http.MethodGet)); got.err != nil {
		t.Fatal(got.err)
	}
	return h, &seen
}

// requestOf is a request with the given method, with a body where one is usual.
func requestOf(method string) *http.Request {
	switch method {
	case http.MethodPost, http.MethodPut, http.MethodPatch, "PROPPATCH":
		r := post("hello", true)
		r.Method = method
		return r
	}
	return get(method)
}

// A server has read the request and ends the connection without a word: nobody knows what it did.
func TestEndAfterTheRequestWasRead(t *testing.T) {
	end := func(p *peer) { _ = p.Close() }
	for name, act := range map[string]spoil{"close": end, "reset": (*peer).reset} {
		for method, idempotent := range map[string]bool{
			"GET": true, "HEAD": true, "OPTIONS": true, "TRACE": true, "PUT": true, "DELETE": true,
			"POST": false, "PATCH": false, "PROPPATCH": false, "LOCK": false,
		} {
			t.Run(name+" "+method, func(t *testing.T) {
				h, seen := spoiled(t, act)
				got := do(h, requestOf(method))
				if idempotent {
					if got.err != nil || seen.Load() != 2 {
						t.Errorf("%v; the server read %d requests", got.err, seen.Load())
					}
					return
				}
				var e *Error
				if !errors.As(got.err, &e) || e.Phase != Sending || !e.Reused || e.Unseen || seen.Load() != 1 {
					t.Errorf("%#v; the server read %d requests", got.err, seen.Load())
				}
			})
		}
	}
}

// With a byte of an answer the request was processed, whatever its method.
func TestEndWithinTheAnswer(t *testing.T) {
	for _, part := range []string{
		"H", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell",
		"HTTP/1.1 103 Early Hints\r\n\r\n", "garbage\r\n\r\n",
	} {
		for _, method := range []string{"GET", "POST"} {
			h, seen := spoiled(t, func(p *peer) { p.write(part); _ = p.CloseWrite(); p.ended() })
			got := do(h, requestOf(method))
			var e *Error
			if !errors.As(got.err, &e) || e.Phase != Receiving || e.Unseen || seen.Load() != 1 {
				t.Errorf("%s, %q: %#v; the server read %d requests", method, part, got.err, seen.Load())
			}
			if h.openCount() != 0 {
				t.Errorf("%s, %q: the connection is left open", method, part)
			}
		}
	}
}

// A connection that is new is not replaced: what happened to it will happen again.
func TestEndOfANewConnection(t *testing.T) {
	var conns atomic.Int32
	h := testClient(t, serve(t, func(p *peer) {
		conns.Add(1)
		p.request()
	}), Options{})
	got := do(h, get(http.MethodGet))
	var e *Error
	if !errors.As(got.err, &e) || e.Phase != Sending || e.Reused || !errors.Is(got.err, ErrClosedByServer) || conns.Load() != 1 {
		t.Errorf("%#v after %d connections", got.err, conns.Load())
	}
}

func TestBodyThatCannotBeSentAgain(t *testing.T) {
	for name, again := range map[string]func() (io.ReadCloser, error){
		"no GetBody":    nil,
		"GetBody fails": func() (io.ReadCloser, error) { return nil, errors.New("gone") },
	} {
		t.Run(name, func(t *testing.T) {
			h, seen := spoiled(t, (*peer).reset)
			r := requestOf(http.MethodPut)
			r.GetBody = again
			got := do(h, r)
			var e *Error
			if !errors.As(got.err, &e) || e.Phase != Sending || !e.Reused || seen.Load() != 1 {
				t.Errorf("%#v; the server read %d requests", got.err, seen.Load())
			}
		})
	}
}

// A request that ended for a reason of its own is not sent again.
func TestNoReplayAfterTheRequestEnded(t *testing.T) {
	h, seen := spoiled(t, func(p *peer) { p.ended() })
	r := requestOf(http.MethodPut)
	r.ContentLength = 10 // five more than there are
	got := do(h, r)
	if !errors.Is(got.err, errBodyLength) || seen.Load() > 1 {
		t.Errorf("%v; the server read %d requests", got.err, seen.Load())
	}
}

// What a server wrote before it closed a new connection is its answer, even when it did not take all of the request.
func TestAnswerBeforeTheHeadWasTaken(t *testing.T) {
	for _, answer := range []string{
		"HTTP/1.1 431 Request Header Fields Too Large\r\nContent-Length: 0\r\n\r\n",
		"HTTP/1.1 431 Request Header Fields Too Large\r\nContent-Length: 5\r\n\r\nplain",
	} {
		h := testClient(t, serve(t, func(p *peer) {
			_, _ = p.r.ReadByte()
			p.write(answer)
		}), Options{})
		r := get(http.MethodGet)
		r.Header.Set("A", strings.Repeat("x", 16<<20))
		if got := do(h, r); got.status != 431 || got.err != nil || h.openCount() != 0 {
			t.Errorf("got %d, %v; %d connections are open", got.status, got.err, h.openCount())
		}
	}
}

func TestAnswerBeforeTheBodyWasTaken(t *testing.T) {
	for _, known := range []bool{true, false} {
		h := testClient(t, serve(t, func(p *peer) {
			p.head()
			p.write("HTTP/1.1 413 Content Too Large\r\nContent-Length: 5\r\n\r\nplain")
		}), Options{})
		r := post("", known)
		r.Body = io.NopCloser(repeat('x', 16<<20))
		if known {
			r.ContentLength = 16 << 20
		}
		if got := do(h, r); got.status != 413 || got.err != nil || h.openCount() != 0 {
			t.Errorf("got %d, %v; %d connections are open", got.status, got.err, h.openCount())
		}
	}
}
