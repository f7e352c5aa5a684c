//go:build unix

package h1

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// look finds out about a socket without reading or waiting. It is used by one goroutine at a time.
type look struct {
	raw  syscall.RawConn
	poll func(fd uintptr) // made once, so that a look allocates nothing
	fds  [1]unix.PollFd
	calm bool // what poll found
}

func (l *look) prepare(sc syscall.Conn) {
	raw, err := sc.SyscallConn()
	if err != nil {
		return // the write will tell
	}
	l.raw = raw
	l.poll = func(fd uintptr) {
		for {
			l.fds[0] = unix.PollFd{Fd: int32(fd), Events: unix.POLLIN}
			n, err := unix.Poll(l.fds[:], 0)
			if err != unix.EINTR {
				l.calm = n == 0 && err == nil
				return
			}
		}
	}
}

// quiet reports whether nothing is there to be read: no data, no end, no error.
func (l *look) quiet() bool {
	if l.raw == nil {
		return true
	}
	l.calm = false
	return l.raw.Control(l.poll) == nil && l.calm
}
