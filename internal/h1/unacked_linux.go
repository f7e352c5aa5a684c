package h1

import "golang.org/x/sys/unix"

// unacknowledged is how many bytes written to the socket the peer has not acknowledged; 0 when that is not known.
func (l *look) unacknowledged() int64 {
	if l.raw == nil {
		return 0
	}
	var n int
	err := l.raw.Control(func(fd uintptr) {
		var err error
		if n, err = unix.IoctlGetInt(int(fd), unix.SIOCOUTQ); err != nil {
			n = 0
		}
	})
	if err != nil {
		return 0
	}
	return int64(n)
}
