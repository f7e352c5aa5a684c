package lbproxy

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"
)

// backend is a server that the tests of a request can look into.
type backend struct {
	*httptest.Server
	mu   sync.Mutex
	hits int
}

// startBackend runs a server over HTTP/1.1.
func startBackend(t *testing.T, handle http.HandlerFunc) *backend {
	t.Helper()
	b := new(backend)
	b.Server = httptest.NewServer(b.counting(handle))
	t.Cleanup(b.Close)
	return b
}

func (b *backend) counting(handle http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		b.mu.Lock()
		b.hits++
		b.mu.Unlock()
		handle(w, r)
	}
}

func (b *backend) count() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.hits
}

// text answers every request with a text.
func text(s string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, s) }
}

// rawBackend runs a server that has each connection served by f, which may do anything.
func rawBackend(t *testing.T, f func(conn net.Conn, r *bufio.Reader)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			stop := context.AfterFunc(ctx, func() { conn.Close() })
			wg.Go(func() {
				defer stop()
				defer conn.Close()
				f(conn, bufio.NewReader(conn))
			})
		}
	})
	t.Cleanup(func() { l.Close(); cancel(); wg.Wait() })
	return l.Addr().String()
}

// readHead reads a request's or an answer's lines up to the empty one.
func readHead(t testing.TB, r *bufio.Reader) string {
	var head strings.Builder
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			t.Errorf("reading a head: %v after %q", err, head.String())
			return head.String()
		}
		if line == "\r\n" {
			return head.String()
		}
		head.WriteString(line)
	}
}

var testLogger = zap.NewNop()

// deadAddress is an address that refuses connections, and that nobody else gets: its port is taken, but nobody listens.
func deadAddress(t *testing.T) string {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Close(fd) })
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	bound, err := unix.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprint("127.0.0.1:", bound.(*unix.SockaddrInet4).Port)
}
