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

var errTest = errors.New("a test's reason")

// silent is a server that reads what it gets, reports each head, and says nothing.
func silent(t *testing.T) (address string, heads chan string) {
	heads = make(chan string, 10)
	return serve(t, func(p *peer) {
		heads <- p.head()
		p.ended()
	}), heads
}

func TestCancelWhileConnecting(t *testing.T) {
	address, _ := silent(t)
	for name, options := range map[string]func(begun chan struct{}) Options{
		"dial": func(begun chan struct{}) Options {
			return Options{Dial: func(ctx context.Context, _ string) (net.Conn, error) {
				close(begun)
				<-ctx.Done()
				return nil, ctx.Err()
			}}
		},
		"handshake": func(begun chan struct{}) Options {
			return Options{Handshake: func(ctx context.Context, conn net.Conn) (net.Conn, error) {
				close(begun)
				<-ctx.Done()
				_ = conn.Close()
				return nil, ctx.Err()
			}}
		},
	} {
		t.Run(name, func(t *testing.T) {
			begun := make(chan struct{})
			h := testClient(t, address, options(begun))
			ctx, cancel := context.WithCancelCause(t.Context())
			go func() { <-begun; cancel(errTest) }()
			got := do(h, post("x", true).WithContext(ctx))
			var e *Error
			if !errors.Is(got.err, errTest) || !errors.As(got.err, &e) || e.Phase != Connecting || !e.Unseen || h.openCount() != 0 {
				t.Errorf("error %#v; %d connections", got.err, h.openCount())
			}
		})
	}
}

func TestCancelWhileSending(t *testing.T) {
	stop := make(chan struct{})
	defer close(stop)
	deaf := serve(t, func(*peer) { <-stop })
	pipe, w := io.Pipe()
	defer w.Close()
	for name, body := range map[string]io.Reader{"to a server that does not read": repeated('x'), "from a body that does not come": pipe} {
		for _, known := range []bool{true, false} {
			t.Run(name, func(t *testing.T) {
				h := testClient(t, deaf, Options{})
				ctx, cancel := context.WithCancel(t.Context())
				r := post("", known).WithContext(ctx)
				r.Body = io.NopCloser(body)
				if known {
					r.ContentLength = 1 << 40
				}
				x := &Exchange{Request: r}
				go func() {
					eventually(t, "the head was sent", func() bool {
						c := h.only()
						return c != nil && c.wire.sent.Load() > 0
					})
					cancel()
				}()
				got := doExchange(h, x)
				var e *Error
				if !errors.Is(got.err, context.Canceled) || !errors.As(got.err, &e) || e.Phase != Sending {
					t.Errorf("error %#v", got.err)
				}
				eventually(t, "the connection is closed", func() bool { return h.openCount() == 0 })
			})
		}
	}
}

// only is the host's only connection; nil when there is none.
func (h *Host) only() *conn {
	w := &h.client.watcher
	w.mu.Lock()
	defer w.mu.Unlock()
	for c := range w.conns {
		return c
	}
	return nil
}

func TestCancelWhileWaiting(t *testing.T) {
	address, heads := silent(t)
	h := testClient(t, address, Options{})
	for _, r := range []*http.Request{get(http.MethodGet), post("hello", true), post("hello", false)} {
		ctx, cancel := context.WithCancelCause(t.Context())
		go func() { <-heads; cancel(errTest) }()
		got := do(h, r.WithContext(ctx))
		var e *Error
		if !errors.Is(got.err, context.Canceled) || !errors.As(got.err, &e) || e.Phase != Sending || e.Unseen {
			t.Errorf("error %#v", got.err)
		}
		eventually(t, "the connection is closed", func() bool { return h.openCount() == 0 })
	}
}

// halfAnswered is an exchange whose body has begun and does not end.
func halfAnswered(ctx context.Context, t *testing.T, head string) (*Host, *Exchange) {
	h := testClient(t, serve(t, func(p *peer) {
		p.head()
		p.write(head)
		p.ended()
	}), Options{})
	x := &Exchange{Request: get(http.MethodGet).WithContext(ctx)}
	if err := h.RoundTrip(x); err != nil {
		t.Fatal(err)
	}
	return h, x
}

func TestEndWhileReading(t *testing.T) {
	for kind, head := range map[string]string{
		"length":      "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nab",
		"chunked":     chunkedHead + "2\r\nab\r\n",
		"until close": "HTTP/1.1 200 OK\r\n\r\nab",
	} {
		for name, act := range map[string]func(x *Exchange, cancel func()){
			"context": func(_ *Exchange, cancel func()) { cancel() },
			"Close":   func(x *Exchange, _ func()) { x.Response.Body.Close() },
			"End":     func(x *Exchange, _ func()) { x.End() },
		} {
			t.Run(kind+" "+name, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				h, x := halfAnswered(ctx, t, head)
				began := make(chan struct{})
				ended := make(chan error)
				go func() {
					buf := make([]byte, 10)
					_, _ = io.ReadFull(x.Response.Body, buf[:2])
					close(began)
					_, err := x.Response.Body.Read(buf)
					_, again := x.Response.Body.Read(buf)
					if err != again {
						t.Errorf("error %v, then %v", err, again)
					}
					ended <- err
				}()
				<-began
				act(x, cancel)
				err := <-ended
				var e *Error
				if !errors.As(err, &e) || e.Phase != Receiving {
					t.Errorf("error %#v", err)
				}
				eventually(t, "the connection is closed", func() bool { return h.openCount() == 0 })
				if name == "context" && !errors.Is(err, context.Canceled) {
					t.Errorf("error %v, want the context's", err)
				}
			})
		}
	}
}

func TestHeaderTimeout(t *testing.T) {
	address, _ := silent(t)
	for name, r := range map[string]*http.Request{
		"without body": get(http.MethodGet), "with body": post("x", true), "chunked": post("x", false),
	} {
		t.Run(name, func(t *testing.T) {
			h := testClient(t, address, Options{HeaderTimeout: time.Hour})
			ended := make(chan result)
			go func() { ended <- do(h, r) }()
			eventually(t, "the request is sent", func() bool {
				c := h.only()
				return c != nil && c.headerBy.Load() > 0
			})
			h.client.watcher.watch(now() + 30*time.Minute)
			if h.openCount() != 1 {
				t.Error("it ended too early")
			}
			h.client.watcher.watch(now() + 2*time.Hour)
			got := <-ended
			var e *Error
			var limit net.Error
			if !errors.As(got.err, &e) || e.Phase != Sending || e.Unseen || !errors.As(got.err, &limit) || !limit.Timeout() {
				t.Errorf("error %#v", got.err)
			}
			eventually(t, "the connection is closed", func() bool { return h.openCount() == 0 })
		})
	}
}

// The time begins when the request is sent, and ends with the header: neither body counts.
func TestHeaderTimeoutCountsNoBody(t *testing.T) {
	for _, expect := range []string{"", "100-continue"} {
		t.Run("expect "+expect, func(t *testing.T) {
			next, begun := make(chan string), make(chan struct{})
			defer close(next)
			h := testClient(t, serve(t, func(p *peer) {
				p.head()
				_, _ = p.r.ReadByte()
				close(begun)
				for s := range next {
					p.write(s)
				}
				p.ended()
			}), Options{HeaderTimeout: time.Hour, ExpectTimeout: time.Nanosecond})
			w := &h.client.watcher
			body, in := io.Pipe()
			r := post("", true)
			r.Body, r.ContentLength = body, 2
			r.Header.Set("Expect", expect)
			x := &Exchange{Request: r}
			defer x.End()
			answered := make(chan error)
			go func() { answered <- h.RoundTrip(x) }()
			_, _ = io.WriteString(in, "a")
			<-begun
			w.watch(now() + 2*time.Hour)
			_, _ = io.WriteString(in, "b")
			next <- "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\na"
			if err := <-answered; err != nil {
				t.Fatal(err)
			}
			w.watch(now() + 2*time.Hour)
			next <- "b"
			if b, err := io.ReadAll(x.Response.Body); string(b) != "ab" || err != nil {
				t.Errorf("%q, %v", b, err)
			}
		})
	}
}

// An exchange may end with another context than its request's.
func TestContextOfTheExchange(t *testing.T) {
	address, heads := silent(t)
	h := testClient(t, address, Options{})
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-heads; cancel() }()
	got := doExchange(h, &Exchange{Request: get(http.MethodGet), Context: ctx})
	if !errors.Is(got.err, context.Canceled) {
		t.Errorf("error %v", got.err)
	}
	got = doExchange(h, &Exchange{Request: get(http.MethodGet), Context: ctx})
	var e *Error
	if !errors.Is(got.err, context.Canceled) || !errors.As(got.err, &e) || e.Phase != Connecting {
		t.Errorf("error %#v", got.err)
	}
}
