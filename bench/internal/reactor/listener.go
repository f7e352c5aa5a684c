package reactor

import (
	"crypto/tls"
	"errors"
	"net"
	"os"

	"golang.org/x/sys/unix"
)

const backlog = 4096

// Listener accepts connections for a loop.
type Listener struct {
	loop   *Loop
	fd     int
	config *tls.Config
	accept func(*Conn) Protocol
}

// Listen opens a listening socket on an IPv4 address; port 0 is any free one. accept is called for each connection,
// before TLS, which config asks for unless it is nil.
func Listen(l *Loop, addr *net.TCPAddr, config *tls.Config, accept func(*Conn) Protocol) (*Listener, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1)
	at := &unix.SockaddrInet4{Port: addr.Port}
	copy(at.Addr[:], addr.IP.To4())
	err = os.NewSyscallError("bind", unix.Bind(fd, at))
	if err == nil {
		err = os.NewSyscallError("listen", unix.Listen(fd, backlog))
	}
	ln := &Listener{loop: l, fd: fd, config: config, accept: accept}
	if err == nil {
		err = l.Add(fd, ln)
	}
	if err != nil {
		unix.Close(fd)
		return nil, err
	}
	return ln, nil
}

// Addr is where the listener listens.
func (ln *Listener) Addr() *net.TCPAddr {
	sa, err := unix.Getsockname(ln.fd)
	at, ok := sa.(*unix.SockaddrInet4)
	if err != nil || !ok {
		return &net.TCPAddr{}
	}
	return &net.TCPAddr{IP: at.Addr[:], Port: at.Port}
}

// Close stops listening. Accepted connections live on.
func (ln *Listener) Close() {
	ln.loop.Remove(ln.fd)
	unix.Close(ln.fd)
}

// Ready implements Handler.
func (ln *Listener) Ready(uint32) {
	for {
		fd, _, err := unix.Accept4(ln.fd, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
		if err != nil {
			if errors.Is(err, unix.ECONNABORTED) {
				continue
			}
			return
		}
		c := newConn(ln.loop, fd, nil)
		c.protocol = ln.accept(c)
		if ln.config != nil {
			c.handshake(func(raw net.Conn) *tls.Conn { return tls.Server(raw, ln.config) })
			continue
		}
		if ln.loop.Add(fd, c) != nil {
			c.Close()
			continue
		}
		c.protocol.Opened()
	}
}
