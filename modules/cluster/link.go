package cluster

import (
	"errors"
	"strings"
	"sync"

	"github.com/gomodule/redigo/redis"
)

// How many calls may wait for one connection, and how many may be on their way. What finds no place is not counted by Redis.
const (
	maxQueued = 4096
	maxSent   = 4096
)

var (
	errLost    = errors.New("the connection was lost")
	errQueue   = errors.New("too many calls wait already")
	errReply   = errors.New("a reply that nobody asked for")
	errStopped = errors.New("the client was closed")
)

// link is one connection that many requests use at once: what waits is written together, and answers come in the order in which they
// were asked for.
type link struct {
	conn   redis.Conn
	queue  chan *call
	sent   chan *call
	lost   chan struct{} // closed when the connection is
	once   sync.Once
	failed func(error) // told why the connection was lost, once
	args   []any       // the writer's own
	ended  sync.WaitGroup
}

// newLink takes over a connection. failed must not block.
func newLink(conn redis.Conn, failed func(error)) *link {
	l := &link{
		conn: conn, failed: failed,
		queue: make(chan *call, maxQueued), sent: make(chan *call, maxSent), lost: make(chan struct{}),
	}
	l.ended.Go(l.write)
	l.ended.Go(l.read)
	return l
}

// close ends the connection; those who wait for an answer are told. Only the first reason is passed on.
func (l *link) close(reason error) {
	l.once.Do(func() {
		close(l.lost)
		_ = l.conn.Close()
		l.failed(reason)
	})
}

// enqueue has a call sent. It does not wait.
func (l *link) enqueue(c *call) error {
	select {
	case l.queue <- c:
		return nil
	default:
		return errQueue
	}
}

// write sends what waits, and flushes when nothing more does.
func (l *link) write() {
	for {
		var c *call
		select {
		case c = <-l.queue:
		case <-l.lost:
			return
		}
		for c != nil {
			if err := l.send(c); err != nil {
				l.close(err)
				return
			}
			select {
			case c = <-l.queue:
			default:
				c = nil
			}
		}
		if err := l.conn.Flush(); err != nil {
			l.close(err)
			return
		}
	}
}

// send writes one call into the buffer, which is written out when it is full.
func (l *link) send(c *call) error {
	if c.gone.Load() {
		return nil
	}
	command := c.command
	l.args = append(l.args[:0], c.args...)
	// The answer may be there before Send returns, so the call is in its place first, and from then on the reader's.
	select {
	case l.sent <- c:
	case <-l.lost:
		return errLost
	}
	return l.conn.Send(command, l.args...)
}

// read hands answers out. It reads also while nothing is asked, to see at once when Redis goes.
func (l *link) read() {
	for {
		reply, err := redis.ReceiveWithTimeout(l.conn, 0)
		if fatal := l.conn.Err(); fatal != nil {
			l.close(fatal)
			return
		}
		var c *call
		select {
		case c = <-l.sent:
		default:
			l.close(errReply)
			return
		}
		if err != nil && c.script != nil && c.command == "EVALSHA" && strings.HasPrefix(err.Error(), "NOSCRIPT") {
			c.inFull()
			if err = l.enqueue(c); err == nil {
				continue
			}
		}
		c.finish(reply, err)
	}
}
