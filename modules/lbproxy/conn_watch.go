package lbproxy

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// errDisconnected ends the body of a request whose connection to the backend is closed.
var errDisconnected = errors.New("the connection to the backend was closed within the request's body")

// watchedConn is a connection that net/http's transport opens. Over HTTP/1 that transport does not
// close the body of a request whose connection it closes. It waits for the read of the body that is
// under way, and the client may never send anything. So the connection ends that read.
type watchedConn struct {
	net.Conn

	mu     sync.Mutex // guards what follows
	sent   sentBody   // by the request that the connection carries
	failed error      // why it cannot be read; nil until then
	closed bool
}

// sentBody is the body of a request as it is sent.
type sentBody struct {
	reader   *bodyReader   // nil without a body
	expected *expectedBody // before the reader; nil when the client does not wait to be asked
}

// Read implements io.Reader.
func (c *watchedConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if err != nil {
		c.mu.Lock()
		if !c.closed && c.failed == nil {
			c.failed = err
		}
		c.mu.Unlock()
	}
	return n, err
}

// CloseWrite tells the backend that nothing more comes, as after a switch of protocols.
func (c *watchedConn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return fmt.Errorf("CloseWrite: %w", errors.ErrUnsupported)
}

// Close implements io.Closer. The body's read ends once nothing can be sent any more.
func (c *watchedConn) Close() error {
	err := c.Conn.Close()
	c.mu.Lock()
	c.closed = true
	sent := c.sent
	c.sent = sentBody{}
	c.mu.Unlock()
	sent.wake()
	return err
}

// carry says what the connection sends from now on.
func (c *watchedConn) carry(sent sentBody) {
	c.mu.Lock()
	c.sent = sent
	closed := c.closed
	c.mu.Unlock()
	if closed {
		sent.wake()
	}
}

// end is why nothing can be sent over the connection any more; nil while something can, and for
// nil.
func (c *watchedConn) end() error {
	if c == nil {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case !c.closed:
		return nil
	case c.failed != nil:
		return fmt.Errorf("%w: %w", errDisconnected, c.failed)
	}
	return errDisconnected
}

// wake ends reads that are under way.
func (s sentBody) wake() {
	if s.expected != nil {
		s.expected.letGo()
	}
	if s.reader != nil {
		s.reader.wake()
	}
}

// watched finds the connection below TLS. It is nil for connections that cannot tell, and for those
// of HTTP/2, whose transport closes the bodies that it does not need.
func watched(conn net.Conn) *watchedConn {
	for {
		switch c := conn.(type) {
		case *watchedConn:
			return c
		case *tls.Conn:
			if c.ConnectionState().NegotiatedProtocol == "h2" {
				return nil
			}
			conn = c.NetConn()
		default:
			return nil
		}
	}
}

// watchConnections has rt open connections that end the reads of bodies.
func watchConnections(rt *http.Transport) {
	if rt == nil {
		return
	}
	dial := rt.DialContext
	watch := func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return &watchedConn{Conn: conn}, nil
	}
	rt.DialContext = watch
	if rt.DialTLSContext == nil {
		return
	}
	// Caddy sets it for server names with placeholders and for the PROXY protocol, and calls its
	// own DialContext in it.
	rt.DialTLSContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := watch(ctx, network, address)
		if err != nil {
			return nil, err
		}
		config := rt.TLSClientConfig.Clone()
		config.ServerName = serverNameFor(ctx, config.ServerName)
		if caddyhttp.GetVar(ctx, tlsHTTP1OnlyVar) == true {
			config.NextProtos = nil
		}
		secured, err := secure(ctx, conn, config, rt.TLSHandshakeTimeout)
		if err != nil {
			return nil, err
		}
		return secured, nil
	}
}
