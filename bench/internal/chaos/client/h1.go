package client

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/caddylb/caddy-lb/bench/internal/chaos/fleet"
)

// H1 is an HTTP/1.1 client that keeps connections. Its methods are safe for concurrent use.
type H1 struct {
	Addr    string
	Timeout time.Duration // of a whole request

	mu   sync.Mutex
	idle []*conn
}

type conn struct {
	net.Conn
	r      *bufio.Reader
	reused bool
}

// Do sends a request once and reads the answer.
func (c *H1) Do(req *http.Request) Answer {
	cn, err := c.connection()
	if err != nil {
		return Answer{Outcome: failure(err, Refused)}
	}
	_ = cn.SetDeadline(time.Now().Add(c.Timeout))
	// An answer may come although the request could not be written to its end.
	writeErr := req.Write(cn)
	a := Answer{Written: time.Now()}
	if _, err := cn.r.Peek(1); err != nil {
		cn.Close()
		a.Outcome = failure(err, Cut)
		if cn.reused {
			a.Outcome = failure(err, Stale)
		}
		return a
	}
	resp, err := http.ReadResponse(cn.r, req)
	if err != nil {
		cn.Close()
		a.Outcome = failure(err, Cut)
		return a
	}
	_, err = io.Copy(io.Discard, resp.Body)
	resp.Body.Close()
	if err != nil || writeErr != nil || resp.Close {
		cn.Close()
	} else {
		c.put(cn)
	}
	a.Status, a.Backend, a.Outcome = resp.StatusCode, resp.Header.Get(fleet.BackendField), OK
	switch {
	case err != nil:
		a.Outcome = Broken
	case a.Status < 200 || a.Status > 299:
		a.Outcome = Status
	}
	return a
}

// failure names an error, unless it is a timeout.
func failure(err error, otherwise Outcome) Outcome {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return Timeout
	}
	return otherwise
}

// connection is the one used last that is still there, or a new one.
func (c *H1) connection() (*conn, error) {
	for {
		c.mu.Lock()
		n := len(c.idle)
		if n == 0 {
			c.mu.Unlock()
			break
		}
		cn := c.idle[n-1]
		c.idle = c.idle[:n-1]
		c.mu.Unlock()
		if alive(cn.Conn) {
			return cn, nil
		}
		cn.Close()
	}
	nc, err := net.DialTimeout("tcp", c.Addr, c.Timeout)
	if err != nil {
		return nil, err
	}
	return &conn{Conn: nc, r: bufio.NewReader(nc)}, nil
}

func (c *H1) put(cn *conn) {
	cn.reused = true
	c.mu.Lock()
	c.idle = append(c.idle, cn)
	c.mu.Unlock()
}

// Close closes idle connections.
func (c *H1) Close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, cn := range c.idle {
		cn.Close()
	}
	c.idle = nil
}

// alive looks, without waiting, whether the server has closed an idle connection: clients know that before they send.
func alive(nc net.Conn) bool {
	raw, err := nc.(*net.TCPConn).SyscallConn()
	if err != nil {
		return false
	}
	ok := false
	err = raw.Read(func(fd uintptr) bool {
		_, _, err := syscall.Recvfrom(int(fd), make([]byte, 1), syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		ok = err == syscall.EAGAIN
		return true
	})
	return err == nil && ok
}
