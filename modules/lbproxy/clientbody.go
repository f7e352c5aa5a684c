package lbproxy

import (
	"errors"
	"io"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/caddylb/caddy-lb/internal/h1"
	"github.com/caddylb/caddy-lb/lb"
)

// clientBody is the client's body as it comes from the server. It knows whether the client is
// waited for, and does not end well with trailers that cannot be sent on: neither is a backend's
// fault.
type clientBody struct {
	io.ReadCloser
	from  *http.Request // whose Trailer is complete at the body's end
	since atomic.Int64  // when the read under way began, by lb.Monotonic; 0 while there is none
	read  int64
}

// errShortBody is a body that a handler or a filter made shorter, and left its length as it was.
// The server sees to it that the client's is as long as it says.
var errShortBody = errors.New("the body is shorter than its length says")

// Read implements io.Reader.
func (b *clientBody) Read(p []byte) (int, error) {
	b.since.Store(int64(max(lb.Monotonic(), 1)))
	n, err := b.ReadCloser.Read(p)
	b.since.Store(0)
	b.read += int64(n)
	if err == io.EOF {
		if b.read < b.from.ContentLength {
			return n, errShortBody
		}
		if invalid := h1.CheckTrailers(b.from); invalid != nil {
			err = invalid
		}
	}
	return n, err
}

// Servers cancel a request in the moment before the read fails that tells why. These bound the wait
// for it.
const (
	readLooks   = 20
	readLookGap = 500 * time.Microsecond
)

// bodyError is why the client's body cannot be read; nil when it can, or there is none. canceled
// says that the request was.
func (ex *exchange) bodyError(canceled bool) error {
	b := ex.body
	if b == nil {
		return nil
	}
	if canceled {
		for range readLooks {
			if !b.isRead() {
				break
			}
			time.Sleep(readLookGap)
		}
	}
	return b.failure()
}

// unlessSlow is for how long a client has to be waited for until a connection that breaks then is
// taken for given up by a backend that waited as well. A client that sends what it has pauses for
// less.
const unlessSlow = time.Second

// awaitsClient reports whether a try ended while the client's body was waited for. What ends by a
// time limit ends for want of it. Connections may break at any time.
func (ex *exchange) awaitsClient(timeout bool) bool {
	if ex.body == nil {
		return false
	}
	b, ok := ex.body.src.(*clientBody)
	if !ok {
		return false
	}
	since := b.since.Load()
	if since == 0 {
		since = ex.body.awaitedSince()
	}
	return since > 0 && (timeout || int64(lb.Monotonic())-since >= int64(unlessSlow))
}

// tap is between the source of a body and a filter, and knows whether an error came from the
// source.
type tap struct {
	io.ReadCloser
	failed atomic.Bool
}

// Read implements io.Reader.
func (t *tap) Read(p []byte) (int, error) {
	n, err := t.ReadCloser.Read(p)
	if err != nil && err != io.EOF {
		t.failed.Store(true)
	}
	return n, err
}

// blames reports whether an error that came out of filters is theirs. A nil tap has none.
func (t *tap) blames(err error) bool {
	return t != nil && !t.failed.Load() && !errors.As(err, new(*h1.RequestError))
}
