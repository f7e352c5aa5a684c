package h1

import (
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
	"time"
)

// memConn is a connection in memory: what a server sends comes in the given pieces, and then the end. What is written
// is kept if keep is set.
type memConn struct {
	data   []byte
	pieces []byte // sizes less one, over and over; empty: all at once

	mu      sync.Mutex
	keep    bool
	written []byte
	n       int // pieces that were read
	closed  bool
}

// Read implements net.Conn.
func (c *memConn) Read(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.closed:
		return 0, net.ErrClosed
	case len(c.data) == 0:
		return 0, io.EOF
	}
	if len(c.pieces) > 0 {
		p = p[:min(len(p), int(c.pieces[c.n%len(c.pieces)])+1)]
		c.n++
	}
	n := copy(p, c.data)
	c.data = c.data[n:]
	return n, nil
}

// Write implements net.Conn.
func (c *memConn) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return 0, net.ErrClosed
	}
	if c.keep {
		c.written = append(c.written, p...)
	}
	return len(p), nil
}

// Close implements net.Conn.
func (c *memConn) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	return nil
}

// unread is how many bytes were not read.
func (c *memConn) unread() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.data)
}

func (c *memConn) LocalAddr() net.Addr              { return nil }
func (c *memConn) RemoteAddr() net.Addr             { return nil }
func (c *memConn) SetDeadline(time.Time) error      { return os.ErrNoDeadline }
func (c *memConn) SetReadDeadline(time.Time) error  { return os.ErrNoDeadline }
func (c *memConn) SetWriteDeadline(time.Time) error { return os.ErrNoDeadline }

type memKey struct{}

// memHost is the connections of a client whose exchanges bring their own connection, in their context.
var memHost = sync.OnceValue(func() *Host {
	return NewClient(Options{Dial: func(ctx context.Context, _ string) (net.Conn, error) {
		return ctx.Value(memKey{}).(*memConn), nil
	}}).Host("memory")
})

// doMem does an exchange on c, and reports whether the connection could serve another one.
func doMem(c *memConn, r *http.Request) (got result, keeps bool) {
	h := memHost()
	got = doExchange(h, &Exchange{Request: r.WithContext(context.WithValue(r.Context(), memKey{}, c))})
	for idle := h.idleTake(); idle != nil; idle = h.idleTake() {
		keeps = idle.wire.Conn == c && c.unread() == 0
		idle.close()
	}
	return got, keeps
}
