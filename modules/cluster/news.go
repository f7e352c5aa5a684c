package cluster

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gomodule/redigo/redis"
)

// newsSilence is how long a subscription may hear nothing, though it asks each second, until it is made anew.
const newsSilence = 3 * time.Second

// newsReader is a subscription to what instances announce. Its methods may be called on nil, for none.
type newsReader struct {
	conn   redis.PubSubConn
	heard  atomic.Int64 // when something came last, as lb's readers of time have it: nanoseconds since the epoch
	ready  atomic.Bool
	done   chan struct{}
	closed sync.Once
}

// listen subscribes, and merges what comes.
func (o *orders) listen(ctx context.Context) (*newsReader, error) {
	conn, err := o.client.target.dial(ctx)
	if err != nil {
		return nil, err
	}
	n := &newsReader{conn: redis.PubSubConn{Conn: conn}, done: make(chan struct{})}
	n.heard.Store(time.Now().UnixNano())
	if err := n.conn.Subscribe(o.channel()); err != nil {
		_ = conn.Close()
		return nil, err
	}
	go func() {
		defer close(n.done)
		defer o.wakeUp()
		n.read(o)
	}()
	return n, nil
}

// read ends with the connection.
func (n *newsReader) read(o *orders) {
	for {
		message := n.conn.ReceiveWithTimeout(0)
		n.heard.Store(time.Now().UnixNano())
		switch m := message.(type) {
		case redis.Subscription:
			n.ready.Store(true)
			o.wakeUp()
		case redis.Message:
			if f, s, ok := parseNews(string(m.Data)); ok {
				o.merge(f, s)
				o.wakeUp()
			}
		case error:
			_ = n.conn.Close()
			return
		}
	}
}

// subscribed reports whether nothing that is announced now is missed.
func (n *newsReader) subscribed() bool { return n != nil && n.ready.Load() }

// ping asks for a sign of life, and ends a subscription that gave none.
func (n *newsReader) ping() {
	if n == nil {
		return
	}
	silent := time.Since(time.Unix(0, n.heard.Load()))
	if err := n.conn.Ping(""); err != nil || silent > newsSilence {
		n.closed.Do(func() { _ = n.conn.Close() })
	}
}

// ended reports whether the subscription is over.
func (n *newsReader) ended() bool {
	if n == nil {
		return false
	}
	select {
	case <-n.done:
		return true
	default:
		return false
	}
}

// close ends the subscription and waits until nothing comes any more.
func (n *newsReader) close() {
	if n == nil {
		return
	}
	n.closed.Do(func() { _ = n.conn.Close() })
	<-n.done
}
