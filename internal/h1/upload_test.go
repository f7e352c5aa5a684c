package h1

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

func TestBodyThatFails(t *testing.T) {
	for name, body := range map[string]io.Reader{
		"at once":                failing{""},
		"after some":             failing{"hello"},
		"shorter than promised":  strings.NewReader("hello"),
		"reads nothing for ever": nothing{},
	} {
		for _, known := range []bool{true, false} {
			if _, short := body.(*strings.Reader); short && !known {
				continue
			}
			t.Run(name, func(t *testing.T) {
				got := make(chan string, 2)
				h := testClient(t, serve(t, func(p *peer) {
					b, _ := io.ReadAll(p.r)
					got <- string(b)
				}), Options{})
				r := post("", known)
				r.Body = io.NopCloser(body)
				if known {
					r.ContentLength = 10
				}
				res := do(h, r)
				want := map[bool]error{true: errBodyLength, false: errTest}[name == "shorter than promised"]
				if name == "reads nothing for ever" {
					want = io.ErrNoProgress
				}
				var e *Error
				if !errors.Is(res.err, want) || !errors.As(res.err, &e) || e.Phase != Sending {
					t.Errorf("error %#v, want %v", res.err, want)
				}
				eventually(t, "the connection is closed", func() bool { return h.openCount() == 0 })
				if s := <-got; strings.HasSuffix(s, "0\r\n\r\n") {
					t.Errorf("the server got a whole body: %q", s)
				}
			})
		}
	}
}

// failing reads its text, then fails.
type failing struct{ text string }

func (f failing) Read(p []byte) (int, error) { return copy(p, f.text), errTest }

// nothing never gets anywhere.
type nothing struct{}

func (nothing) Read([]byte) (int, error) { return 0, nil }

// The body and the answer may go at the same time.
func TestEcho(t *testing.T) {
	h := testClient(t, serve(t, func(p *peer) {
		for p.head() != "" {
			p.write(chunkedHead)
			for {
				line, err := p.r.ReadString('\n')
				if err != nil {
					return
				}
				if line == "0\r\n" {
					p.head()
					p.write("0\r\n\r\n")
					break
				}
				content, _ := p.r.ReadString('\n')
				p.write(line + content)
			}
		}
	}), Options{})
	for range 2 {
		body, in := io.Pipe()
		r := post("", false)
		r.Body = body
		x := &Exchange{Request: r}
		if err := h.RoundTrip(x); err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, 10)
		for _, s := range []string{"a", "bc", "def"} {
			_, _ = io.WriteString(in, s)
			if n, err := x.Response.Body.Read(buf); string(buf[:n]) != s || err != nil {
				t.Errorf("got %q, %v, want %q", buf[:n], err, s)
			}
		}
		_ = in.Close()
		if b, err := io.ReadAll(x.Response.Body); len(b) != 0 || err != nil {
			t.Errorf("got %q, %v", b, err)
		}
		x.End()
		eventually(t, "the connection is given back", func() bool { return h.idleCount() == 1 })
	}
}

// The head of a request does not wait for a body that is slow to come.
func TestHeadGoesAheadOfASlowBody(t *testing.T) {
	heads := make(chan string, 1)
	h := testClient(t, serve(t, func(p *peer) {
		head := p.head()
		heads <- head
		p.write("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n" + p.body(head))
		p.ended()
	}), Options{})
	body, in := io.Pipe()
	r := post("", true)
	r.Body, r.ContentLength = body, 5
	done := make(chan result)
	go func() { done <- do(h, r) }()
	if head := <-heads; !strings.HasPrefix(head, "POST / ") {
		t.Errorf("head %q", head)
	}
	_, _ = io.WriteString(in, "he")
	_, _ = io.WriteString(in, "llo")
	if got := <-done; got.body != "hello" {
		t.Errorf("got %q, %v", got.body, got.err)
	}
}

// lateConn lets the writer of a body go on only after the exchange has ended.
type lateConn struct {
	*net.TCPConn
	hold chan struct{}
}

func (c *lateConn) Write(p []byte) (int, error) {
	n, err := c.TCPConn.Write(p)
	if bytes.HasSuffix(p, []byte("hello")) || bytes.HasSuffix(p, []byte("0\r\n\r\n")) || string(p) == "\r\n" {
		<-c.hold
	}
	return n, err
}

// A server can answer before the writer of the body has gone on from its last write. That costs no connection.
func TestServerIsFasterThanTheWriter(t *testing.T) {
	for _, c := range []struct{ known, closes bool }{{known: true}, {known: false}, {known: true, closes: true}, {closes: true}} {
		hold := make(chan struct{})
		var dials atomic.Int32
		h := testClient(t, numbered(t), Options{Dial: func(ctx context.Context, key string) (net.Conn, error) {
			dials.Add(1)
			nc, err := new(net.Dialer).DialContext(ctx, "tcp", key)
			if err != nil {
				return nil, err
			}
			return &lateConn{nc.(*net.TCPConn), hold}, nil
		}})
		ctx, cancel := context.WithCancel(t.Context())
		x := &Exchange{Request: post("hello", c.known).WithContext(ctx)}
		if err := h.RoundTrip(x); err != nil {
			t.Fatal(err)
		}
		if body, err := io.ReadAll(x.Response.Body); string(body) != "0" || err != nil {
			t.Errorf("got %q, %v", body, err)
		}
		if c.closes {
			_ = x.Response.Body.Close()
		}
		x.End()
		cancel()
		if h.idleCount() != 0 {
			t.Error("the connection is given back while it is written to")
		}
		h.client.watcher.watch(now())
		close(hold)
		eventually(t, "the connection is given back", func() bool { return h.idleCount() == 1 })
	}
}

// A writer that does not get on is not waited for long, though.
func TestWriterThatDoesNotGetOn(t *testing.T) {
	hold := make(chan struct{})
	defer close(hold)
	h := testClient(t, numbered(t), Options{Dial: func(ctx context.Context, key string) (net.Conn, error) {
		nc, err := new(net.Dialer).DialContext(ctx, "tcp", key)
		if err != nil {
			return nil, err
		}
		return &lateConn{nc.(*net.TCPConn), hold}, nil
	}})
	// The request's context does not end with the exchange.
	if got := doExchange(h, &Exchange{Request: post("hello", true)}); got.body != "0" {
		t.Errorf("got %q, %v", got.body, got.err)
	}
	h.client.watcher.watch(now())
	if h.openCount() != 1 {
		t.Error("it is not waited for at all")
	}
	h.client.watcher.watch(now() + time.Hour)
	eventually(t, "the connection is closed", func() bool { return h.openCount() == 0 })
}

// An answer that came before all of the body was sent leaves a connection that cannot be used again.
func TestEndWithinTheUpload(t *testing.T) {
	h := testClient(t, serve(t, func(p *peer) {
		p.head()
		p.write(plain)
		p.ended()
	}), Options{})
	body, in := io.Pipe()
	for _, known := range []bool{true, false} {
		r := post("", known)
		r.Body = body
		if known {
			r.ContentLength = 100
		}
		if got := do(h, r); got.body != "plain" || h.openCount() != 0 {
			t.Errorf("got %q, %v; %d connections", got.body, got.err, h.openCount())
		}
	}
	_ = in.Close()
}

// mutedConn takes one write and no other.
type mutedConn struct {
	*net.TCPConn
	wrote atomic.Bool
}

func (c *mutedConn) Write(p []byte) (int, error) {
	if c.wrote.Swap(true) {
		return 0, errTest
	}
	return c.TCPConn.Write(p)
}

// The server may have answered before the body could not be sent any more, but it is not waited for without end.
func TestAnswerAfterAFailedUpload(t *testing.T) {
	for _, answers := range []bool{true, false} {
		address := serve(t, func(p *peer) {
			p.head()
			if answers {
				p.write(plain)
			}
			p.ended()
		})
		h := testClient(t, address, Options{HeaderTimeout: time.Hour, Dial: func(ctx context.Context, key string) (net.Conn, error) {
			nc, err := new(net.Dialer).DialContext(ctx, "tcp", key)
			if err != nil {
				return nil, err
			}
			return &mutedConn{TCPConn: nc.(*net.TCPConn)}, nil
		}})
		done := make(chan result)
		go func() { done <- do(h, post("hello", false)) }()
		if !answers {
			eventually(t, "the time for the answer begins", func() bool {
				c := h.only()
				return c != nil && c.headerBy.Load() > 0
			})
			h.client.watcher.watch(now() + 2*time.Hour)
		}
		got := <-done
		if answers != (got.err == nil) || answers && got.body != "plain" {
			t.Errorf("got %q, %v", got.body, got.err)
		}
		eventually(t, "the connection is closed", func() bool { return h.openCount() == 0 })
	}
}
