package reactor

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"

	"golang.org/x/sys/unix"
)

// Protocol is what is spoken on a connection.
type Protocol interface {
	// Opened is called once when bytes can be sent: after the handshake where there is TLS.
	Opened()
	// Data has the bytes that arrived, in pieces of any size. They are valid during the call.
	Data(b []byte)
	// Closed is called once when the connection has ended without a call of Conn.Close; io.EOF is an orderly end.
	Closed(err error)
}

// Conn is a TCP connection, with TLS or without, that belongs to a loop.
type Conn struct {
	loop     *Loop
	fd       int
	protocol Protocol
	out      [][]byte // what the socket did not take yet
	watching bool     // for EPOLLOUT
	open     bool
	raw      *rawConn // nil without TLS
	secure   *tls.Conn
}

// newConn takes over a connected, or connecting, non-blocking socket.
func newConn(l *Loop, fd int, p Protocol) *Conn {
	// Small messages must not wait for the acknowledgement of earlier ones.
	_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
	return &Conn{loop: l, fd: fd, protocol: p, open: true}
}

// Dial begins to connect to an IPv4 address. The result arrives as Protocol.Opened, at once without TLS, for what is
// sent before the connection stands waits for it. config is nil without TLS.
func Dial(l *Loop, addr *net.TCPAddr, config *tls.Config, p func(*Conn) Protocol) (*Conn, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	to := &unix.SockaddrInet4{Port: addr.Port}
	copy(to.Addr[:], addr.IP.To4())
	if err := unix.Connect(fd, to); err != nil && !errors.Is(err, unix.EINPROGRESS) {
		unix.Close(fd)
		return nil, os.NewSyscallError("connect", err)
	}
	c := newConn(l, fd, nil)
	c.protocol = p(c)
	if config != nil {
		c.handshake(func(raw net.Conn) *tls.Conn { return tls.Client(raw, config) })
		return c, nil
	}
	if err := l.Add(fd, c); err != nil {
		unix.Close(fd)
		return nil, err
	}
	c.protocol.Opened()
	return c, nil
}

// Send writes b, now or when the socket has room. b must not change until then. On a connection that has
// ended it does nothing.
func (c *Conn) Send(b []byte) {
	if !c.open {
		return
	}
	// A socket that fails to take bytes has the next read say why, on the loop's turn, where ending is safe.
	if c.secure != nil {
		_, _ = c.secure.Write(b)
		return
	}
	_ = c.write(b)
}

// write sends bytes as they are, and keeps what the socket does not take.
func (c *Conn) write(b []byte) error {
	if len(c.out) == 0 {
		n, err := unix.Write(c.fd, b)
		if err != nil && !errors.Is(err, unix.EAGAIN) {
			return os.NewSyscallError("write", err)
		}
		b = b[max(n, 0):]
	}
	if len(b) > 0 {
		if c.secure != nil {
			b = bytes.Clone(b) // crypto/tls uses its buffer again
		}
		c.out = append(c.out, b)
		c.wantWrite(true)
	}
	return nil
}

func (c *Conn) wantWrite(want bool) {
	if c.watching != want && c.loop.watch(c.fd, want) == nil {
		c.watching = want
	}
}

// Ready implements Handler.
func (c *Conn) Ready(events uint32) {
	if events&unix.EPOLLOUT != 0 {
		c.flush()
	}
	if c.open && events&(unix.EPOLLIN|unix.EPOLLERR|unix.EPOLLHUP) != 0 {
		if c.secure != nil {
			c.readSecure()
		} else {
			c.read()
		}
	}
}

func (c *Conn) flush() {
	for len(c.out) > 0 {
		n, err := unix.Write(c.fd, c.out[0])
		if err != nil {
			if !errors.Is(err, unix.EAGAIN) {
				c.end(os.NewSyscallError("write", err))
			}
			return
		}
		if n < len(c.out[0]) {
			c.out[0] = c.out[0][n:]
			return
		}
		c.out = c.out[1:]
	}
	c.out = nil
	c.wantWrite(false)
}

// read takes what one call gives; if there is more, epoll says so again.
func (c *Conn) read() {
	n, err := unix.Read(c.fd, c.loop.buf)
	switch {
	case n > 0:
		c.protocol.Data(c.loop.buf[:n])
	case err == nil:
		c.end(io.EOF)
	case !errors.Is(err, unix.EAGAIN):
		c.end(os.NewSyscallError("read", err))
	}
}

// end closes the connection for a reason that the protocol does not know yet.
func (c *Conn) end(err error) {
	if c.open {
		c.Close()
		c.protocol.Closed(err)
	}
}

// Close ends the connection; Protocol.Closed is not called. It may be called twice.
func (c *Conn) Close() {
	if c.open {
		c.open = false
		c.out = nil
		c.loop.Remove(c.fd)
		if c.raw != nil && c.raw.blocking {
			// The handshake still uses the descriptor; secured closes it.
			_ = unix.Shutdown(c.fd, unix.SHUT_RDWR)
			return
		}
		unix.Close(c.fd)
	}
}
