package h1

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"testing"
	"time"
)

// interrupted starts an exchange, interrupts it once begun, and checks that it ends by that, long before the watcher looks.
func interrupted(t *testing.T, h *Host, r *http.Request, begun <-chan string) *Error {
	t.Helper()
	x := &Exchange{Request: r}
	go func() {
		<-begun
		x.Interrupt(errTest)
		x.Interrupt(errors.New("too late"))
	}()
	got := doExchange(h, x)
	var e *Error
	if !errors.Is(got.err, errTest) || !errors.As(got.err, &e) {
		t.Fatalf("error %#v", got.err)
	}
	eventually(t, "the connection is closed", func() bool { return h.openCount() == 0 })
	return e
}

func TestInterruptWhileWaiting(t *testing.T) {
	address, heads := silent(t)
	h := testClient(t, address, Options{})
	for _, r := range []*http.Request{get(http.MethodGet), post("hello", true), post("hello", false)} {
		if e := interrupted(t, h, r, heads); e.Phase != Sending || e.Unseen {
			t.Errorf("error %#v", e)
		}
	}
}

func TestInterruptBeforeThereIsAConnection(t *testing.T) {
	address, heads := silent(t)
	dialing := make(chan string)
	connect := make(chan struct{})
	h := testClient(t, address, Options{Dial: func(ctx context.Context, _ string) (net.Conn, error) {
		dialing <- ""
		<-connect
		return new(net.Dialer).DialContext(ctx, "tcp", address)
	}})
	x := &Exchange{Request: get(http.MethodGet)}
	go func() {
		<-dialing
		x.Interrupt(errTest)
		close(connect)
	}()
	got := doExchange(h, x)
	var e *Error
	if !errors.Is(got.err, errTest) || !errors.As(got.err, &e) || !e.Unseen {
		t.Errorf("error %#v", got.err)
	}
	if head := <-heads; head != "" {
		t.Errorf("the server got %q", head)
	}
	eventually(t, "the connection is closed", func() bool { return h.openCount() == 0 })
}

func TestInterruptWithinTheBody(t *testing.T) {
	h, x := halfAnswered(t.Context(), t, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
	go x.Interrupt(errTest)
	if _, err := io.ReadAll(x.Response.Body); !errors.Is(err, errTest) {
		t.Errorf("error %v", err)
	}
	x.End()
	eventually(t, "the connection is closed", func() bool { return h.openCount() == 0 })
}

// An exchange that has ended has no connection any more, which may serve another one.
func TestInterruptAfterTheEndIsNothing(t *testing.T) {
	address := serve(t, func(p *peer) {
		for p.head() != "" {
			p.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
		}
	})
	h := testClient(t, address, Options{})
	var before *Exchange
	for range 10 {
		x := &Exchange{Request: get(http.MethodGet)}
		if before != nil {
			go before.Interrupt(errTest)
		}
		if got := doExchange(h, x); got.err != nil || got.body != "ok" {
			t.Fatalf("got %q, %v", got.body, got.err)
		}
		before = x
	}
	if h.openCount() != 1 {
		t.Errorf("%d connections", h.openCount())
	}
}

// The watcher looks at contexts every 20 ms; an interruption does not wait for it.
func TestInterruptAtAnyTime(t *testing.T) {
	address := serve(t, func(p *peer) {
		for p.head() != "" {
			p.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
		}
	})
	h := testClient(t, address, Options{})
	for i := range 300 {
		x := &Exchange{Request: get(http.MethodGet)}
		done := make(chan struct{})
		go func() {
			defer close(done)
			time.Sleep(time.Duration(i) * time.Microsecond)
			x.Interrupt(errTest)
		}()
		if got := doExchange(h, x); got.err != nil && !errors.Is(got.err, errTest) {
			t.Fatalf("error %v", got.err)
		}
		<-done
	}
}
