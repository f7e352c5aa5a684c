package reactor

import (
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Ticker calls a function at an interval that may be far below a millisecond.
type Ticker struct {
	loop *Loop
	fd   int
	tick func()
}

// NewTicker starts a ticker. Ticks that come late are not made up for: the function looks at the clock.
func NewTicker(l *Loop, every time.Duration, tick func()) (*Ticker, error) {
	fd, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("timerfd_create", err)
	}
	t := &Ticker{loop: l, fd: fd, tick: tick}
	spec := unix.ItimerSpec{Value: unix.NsecToTimespec(int64(every)), Interval: unix.NsecToTimespec(int64(every))}
	err = os.NewSyscallError("timerfd_settime", unix.TimerfdSettime(fd, 0, &spec, nil))
	if err == nil {
		err = l.Add(fd, t)
	}
	if err != nil {
		unix.Close(fd)
		return nil, err
	}
	return t, nil
}

// Ready implements Handler.
func (t *Ticker) Ready(uint32) {
	var expirations [8]byte
	_, _ = unix.Read(t.fd, expirations[:])
	t.tick()
}

// Stop ends the ticker.
func (t *Ticker) Stop() {
	t.loop.Remove(t.fd)
	unix.Close(t.fd)
}
