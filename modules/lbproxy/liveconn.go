package lbproxy

import (
	"context"
	"errors"
	"net"
	"sync/atomic"
	"syscall"
)

// errConnectionEnded is the failure of a write on a connection that the backend had closed before it.
var errConnectionEnded = errors.New("the backend closed the connection while it was idle")

// dialFunc makes connections, as http.Transport.DialContext.
type dialFunc func(ctx context.Context, network, address string) (net.Conn, error)

// withLiveness has connections looked at before a request is written on one that was idle. The write then fails
// without a byte sent, which tells net/http that the request, whatever its method, can be sent on another
// connection (RFC 9110, section 9.2.2: the request was never applied).
func withLiveness(dial dialFunc) dialFunc {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		sc, ok := conn.(syscall.Conn)
		if !ok {
			return conn, nil
		}
		raw, err := sc.SyscallConn()
		if err != nil {
			return conn, nil //nolint:nilerr // a connection that cannot be looked at is still a connection
		}
		return &liveConn{Conn: conn, raw: raw}, nil
	}
}

// liveConn is a connection to a backend. What is written first after something was read is taken for the start of
// a request.
type liveConn struct {
	net.Conn
	raw  syscall.RawConn
	read atomic.Bool // something was read since the last write
}

// Read implements net.Conn.
func (c *liveConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if n > 0 {
		c.read.Store(true)
	}
	return n, err
}

// Write implements net.Conn.
func (c *liveConn) Write(p []byte) (int, error) {
	if c.read.Load() {
		c.read.Store(false)
		if endedByPeer(c.raw) {
			return 0, errConnectionEnded
		}
	}
	return c.Conn.Write(p)
}

// CloseWrite closes the direction to the backend, if the connection can do that.
func (c *liveConn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return errors.ErrUnsupported
}
