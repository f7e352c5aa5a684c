package lbproxy

import (
	"net"
	"time"

	"golang.org/x/sys/unix"
)

// closeEmpty closes ln, at a moment at which no connection waits to be accepted, or at last when the time is over.
func closeEmpty(ln *net.TCPListener, by time.Time) bool {
	defer ln.Close()
	raw, err := ln.SyscallConn()
	if err != nil {
		return true // it was closed before
	}
	for closed := false; !closed && time.Now().Before(by); {
		_ = raw.Control(func(fd uintptr) {
			info, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO)
			if closed = err != nil || info.Unacked == 0; closed { // of a listener that is the length of this queue
				_ = unix.Shutdown(int(fd), unix.SHUT_RD) // at once, while Close waits for whoever accepts
			}
		})
		if !closed {
			time.Sleep(arrivalPoll / 20)
		}
	}
	return true
}
