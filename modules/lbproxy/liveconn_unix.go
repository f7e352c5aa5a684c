//go:build unix

package lbproxy

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// endedByPeer looks, without waiting and without taking anything, whether the peer has closed or reset the
// connection. Bytes that wait to be read are no end.
func endedByPeer(raw syscall.RawConn) bool {
	ended := false
	err := raw.Control(func(fd uintptr) {
		var b [1]byte
		for {
			n, _, err := unix.Recvfrom(int(fd), b[:], unix.MSG_PEEK|unix.MSG_DONTWAIT)
			if err == unix.EINTR {
				continue
			}
			ended = (err == nil && n == 0) || (err != nil && err != unix.EAGAIN && err != unix.EWOULDBLOCK)
			return
		}
	})
	return ended || err != nil
}
