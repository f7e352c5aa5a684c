package h1

import (
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"
)

// hookedConn calls its hooks before each write and read of a connection, with how many there were. The engine sees its socket.
type hookedConn struct {
	*net.TCPConn
	writes, reads atomic.Int32
	write, read   func(c *hookedConn, n int32)
	failed        func() // a write has
}

func (c *hookedConn) Write(p []byte) (int, error) {
	if n := c.writes.Add(1); c.write != nil {
		c.write(c, n)
	}
	n, err := c.TCPConn.Write(p)
	if err != nil && c.failed != nil {
		c.failed()
	}
	return n, err
}

func (c *hookedConn) Read(p []byte) (int, error) {
	if n := c.reads.Add(1); c.read != nil {
		c.read(c, n)
	}
	return c.TCPConn.Read(p)
}

// state is that of the socket in the kernel.
func (c *hookedConn) state(t *testing.T) (state uint8) {
	raw, err := c.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	_ = raw.Control(func(fd uintptr) {
		info, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO)
		if err == nil {
			state = info.State
		}
	})
	return state
}

// States of a socket (tcp(7), include/net/tcp_states.h).
const (
	tcpClose     = 7
	tcpCloseWait = 8
)

// hooked is a client whose first connection has hooks.
func hooked(t *testing.T, address string, hooks *hookedConn) *Host {
	var dials atomic.Int32
	return testClient(t, address, Options{Dial: func(ctx context.Context, key string) (net.Conn, error) {
		var d net.Dialer
		nc, err := d.DialContext(ctx, "tcp", key)
		if err != nil || dials.Add(1) > 1 {
			return nc, err
		}
		return &hookedConn{TCPConn: nc.(*net.TCPConn), write: hooks.write, read: hooks.read, failed: hooks.failed}, nil
	}})
}

// The server ends an idle connection, which the client's look at it was too early to see.
func TestClosedBehindTheLook(t *testing.T) {
	for _, known := range []bool{true, false} {
		stop := make(chan struct{})
		var seen atomic.Int32
		address := serve(t, func(p *peer) {
			for p.n > 0 || seen.Load() == 0 {
				head, _, _ := p.request()
				if head == "" {
					return
				}
				seen.Add(1)
				p.write(plain)
			}
			<-stop
		})
		h := hooked(t, address, &hookedConn{write: func(c *hookedConn, n int32) {
			if n == 2 {
				close(stop)
				eventually(t, "the server's end came", func() bool { return c.state(t) == tcpCloseWait })
			}
		}})
		if got := do(h, get(http.MethodGet)); got.err != nil {
			t.Fatal(got.err)
		}
		r := post("hello", known)
		if got := do(h, r); got.body != "plain" || seen.Load() != 2 {
			t.Errorf("got %q, %v; the server saw %d requests", got.body, got.err, seen.Load())
		}
	}
}

// A server that read a request and then reset the connection may have done what it says, even if the client's kernel heard no
// acknowledgement, and even if the writer of the body took note of the reset and left the reader with a plain end.
func TestResetProvesNothing(t *testing.T) {
	for _, method := range []string{http.MethodPost, http.MethodPut} {
		t.Run(method, func(t *testing.T) {
			var seen atomic.Int32
			address := serve(t, func(p *peer) {
				for n := 0; ; n++ {
					if p.head() == "" {
						return
					}
					if p.n == 0 && n == 1 {
						seen.Add(1)
						p.reset()
						return
					}
					if p.n > 0 {
						seen.Add(1)
						_, _ = io.CopyN(io.Discard, p.r, 2000)
					}
					p.write(plain)
				}
			})
			failed := make(chan struct{})
			h := hooked(t, address, &hookedConn{write: func(c *hookedConn, n int32) {
				if n == 3 {
					eventually(t, "the reset came", func() bool { return c.state(t) == tcpClose })
				}
			}, read: func(c *hookedConn, n int32) {
				if n == 2 {
					<-failed
				}
			}, failed: sync.OnceFunc(func() { close(failed) })})
			if got := do(h, get(http.MethodGet)); got.err != nil {
				t.Fatal(got.err)
			}
			r := get(method)
			r.ContentLength = 2000
			body := func() io.ReadCloser {
				return io.NopCloser(io.MultiReader(strings.NewReader(strings.Repeat("x", 1000)), strings.NewReader(strings.Repeat("y", 1000))))
			}
			r.Body, r.GetBody = body(), func() (io.ReadCloser, error) { return body(), nil }
			got := do(h, r)
			switch method {
			case http.MethodPost:
				if got.err == nil || seen.Load() != 1 {
					t.Errorf("got %q, %v; the server saw %d requests", got.body, got.err, seen.Load())
				}
			default:
				if got.body != "plain" || seen.Load() != 2 {
					t.Errorf("got %q, %v; the server saw %d requests", got.body, got.err, seen.Load())
				}
			}
		})
	}
}
