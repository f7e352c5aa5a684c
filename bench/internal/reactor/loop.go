// Package reactor is a loop over epoll that serves any number of sockets from one thread. The benchmark's clients and
// backends share one such loop, so that they cost a fraction of what the proxies between them cost: no goroutine is
// woken and no thread is switched for a message.
//
// Nothing here is safe for concurrent use, except Loop.Post.
package reactor

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

const (
	readBuffer = 256 << 10
	batch      = 256
)

// Handler is told what epoll says about a file descriptor.
type Handler interface {
	// Ready is called on the loop's thread with the events of epoll_wait(2).
	Ready(events uint32)
}

// Loop waits for file descriptors and calls their handlers.
type Loop struct {
	epoll    int
	wake     int // an eventfd
	handlers []Handler
	events   [batch]unix.EpollEvent
	buf      []byte // what a Conn reads into; valid until the next read
	started  time.Time

	mu     sync.Mutex
	posted []func()
}

// New makes a loop. Close frees its descriptors.
func New() (*Loop, error) {
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("epoll_create: %w", err)
	}
	wake, err := unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC)
	if err != nil {
		unix.Close(epoll)
		return nil, fmt.Errorf("eventfd: %w", err)
	}
	l := &Loop{epoll: epoll, wake: wake, buf: make([]byte, readBuffer), started: time.Now()}
	if err := l.Add(wake, wakeup{l}); err != nil {
		l.Close()
		return nil, err
	}
	return l, nil
}

// Close frees the loop's own descriptors, not those of its handlers.
func (l *Loop) Close() {
	unix.Close(l.wake)
	unix.Close(l.epoll)
}

// Now is the time since the loop was made, in nanoseconds of the monotonic clock.
func (l *Loop) Now() int64 { return int64(time.Since(l.started)) }

// Add has h called when fd can be read.
func (l *Loop) Add(fd int, h Handler) error {
	for len(l.handlers) <= fd {
		l.handlers = append(l.handlers, make([]Handler, fd+1)...)
	}
	ev := unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)}
	if err := unix.EpollCtl(l.epoll, unix.EPOLL_CTL_ADD, fd, &ev); err != nil {
		return fmt.Errorf("epoll_ctl: %w", err)
	}
	l.handlers[fd] = h
	return nil
}

// watch says whether writing is of interest, besides reading.
func (l *Loop) watch(fd int, write bool) error {
	ev := unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)}
	if write {
		ev.Events |= unix.EPOLLOUT
	}
	return unix.EpollCtl(l.epoll, unix.EPOLL_CTL_MOD, fd, &ev)
}

// Remove forgets fd, which the caller then closes.
func (l *Loop) Remove(fd int) {
	if fd < len(l.handlers) && l.handlers[fd] != nil {
		l.handlers[fd] = nil
		_ = unix.EpollCtl(l.epoll, unix.EPOLL_CTL_DEL, fd, nil)
	}
}

// Poll waits up to timeout for events, negative being without limit, and calls their handlers. Anything below a
// millisecond is rounded up to one.
func (l *Loop) Poll(timeout time.Duration) error {
	ms := -1
	if timeout >= 0 {
		ms = int((timeout + time.Millisecond - 1) / time.Millisecond)
	}
	n, err := unix.EpollWait(l.epoll, l.events[:], ms)
	if err != nil {
		if errors.Is(err, unix.EINTR) {
			return nil
		}
		return fmt.Errorf("epoll_wait: %w", err)
	}
	for i := range n {
		// A handler may have removed another's descriptor within this batch.
		if h := l.handlers[l.events[i].Fd]; h != nil {
			h.Ready(l.events[i].Events)
		}
	}
	return nil
}

// Post has f called on the loop's thread. It may be called from any goroutine.
func (l *Loop) Post(f func()) {
	l.mu.Lock()
	l.posted = append(l.posted, f)
	l.mu.Unlock()
	// The counter of an eventfd cannot overflow here, so that a write always counts.
	_, _ = unix.Write(l.wake, []byte{1, 0, 0, 0, 0, 0, 0, 0})
}

// wakeup runs what was posted.
type wakeup struct{ loop *Loop }

func (w wakeup) Ready(uint32) {
	var count [8]byte
	_, _ = unix.Read(w.loop.wake, count[:])
	w.loop.mu.Lock()
	posted := w.loop.posted
	w.loop.posted = nil
	w.loop.mu.Unlock()
	for _, f := range posted {
		f()
	}
}
