package reactor

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

const handshakeTimeout = 10 * time.Second

// errWouldBlock is an error that crypto/tls passes on without breaking the session: it is temporary.
var errWouldBlock net.Error = wouldBlock{}

type wouldBlock struct{}

func (wouldBlock) Error() string   { return "nothing to read yet" }
func (wouldBlock) Timeout() bool   { return true }
func (wouldBlock) Temporary() bool { return true }

// handshake runs a TLS handshake in a goroutine of its own, for crypto/tls cannot interrupt one, and then gives the
// connection to the loop.
func (c *Conn) handshake(wrap func(net.Conn) *tls.Conn) {
	c.raw = &rawConn{conn: c, blocking: true, deadline: time.Now().Add(handshakeTimeout)}
	secure := wrap(c.raw)
	go func() {
		err := secure.Handshake()
		c.loop.Post(func() { c.secured(secure, err) })
	}()
}

// secured ends a handshake, on the loop's thread.
func (c *Conn) secured(secure *tls.Conn, err error) {
	c.raw.blocking = false
	if !c.open {
		unix.Close(c.fd)
		return
	}
	if err == nil {
		err = c.loop.Add(c.fd, c)
	}
	if err != nil {
		c.end(err)
		return
	}
	c.secure = secure
	c.protocol.Opened()
	// What came in one piece with the end of the handshake is not announced again.
	c.readSecure()
}

func (c *Conn) readSecure() {
	for c.open {
		n, err := c.secure.Read(c.loop.buf)
		if n > 0 {
			c.protocol.Data(c.loop.buf[:n])
		}
		switch {
		case err == nil:
		case errors.Is(err, errWouldBlock):
			return
		default:
			c.end(err)
		}
	}
}

// rawConn is the socket as crypto/tls sees it. While blocking, it waits in poll(2), in a goroutine's own
// time; then it never waits.
type rawConn struct {
	conn     *Conn
	blocking bool
	deadline time.Time
}

func (r *rawConn) wait(events int16) error {
	left := time.Until(r.deadline)
	if left <= 0 {
		return os.ErrDeadlineExceeded
	}
	_, err := unix.Poll([]unix.PollFd{{Fd: int32(r.conn.fd), Events: events}}, int(left/time.Millisecond)+1)
	if err != nil && !errors.Is(err, unix.EINTR) {
		return os.NewSyscallError("poll", err)
	}
	return nil
}

func (r *rawConn) Read(b []byte) (int, error) {
	for {
		n, err := unix.Read(r.conn.fd, b)
		switch {
		case n > 0:
			return n, nil
		case err == nil:
			return 0, io.EOF
		case !errors.Is(err, unix.EAGAIN):
			return 0, os.NewSyscallError("read", err)
		case !r.blocking:
			return 0, errWouldBlock
		}
		if err := r.wait(unix.POLLIN); err != nil {
			return 0, err
		}
	}
}

func (r *rawConn) Write(b []byte) (int, error) {
	if !r.blocking {
		return len(b), r.conn.write(b)
	}
	for sent := 0; sent < len(b); {
		n, err := unix.Write(r.conn.fd, b[sent:])
		if err == nil {
			sent += n
			continue
		}
		if !errors.Is(err, unix.EAGAIN) {
			return sent, os.NewSyscallError("write", err)
		}
		if err := r.wait(unix.POLLOUT); err != nil {
			return sent, err
		}
	}
	return len(b), nil
}

// Close leaves the socket to the Conn that owns it.
func (r *rawConn) Close() error                     { return nil }
func (r *rawConn) LocalAddr() net.Addr              { return &net.TCPAddr{} }
func (r *rawConn) RemoteAddr() net.Addr             { return &net.TCPAddr{} }
func (r *rawConn) SetDeadline(time.Time) error      { return nil }
func (r *rawConn) SetReadDeadline(time.Time) error  { return nil }
func (r *rawConn) SetWriteDeadline(time.Time) error { return nil }
