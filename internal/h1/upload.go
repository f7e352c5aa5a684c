package h1

import (
	"errors"
	"io"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/net/http/httpguts"

	"github.com/caddylb/caddy-lb/internal/syntax"
)

const (
	uploadBufferSize = 32 << 10
	chunkLineRoom    = 10 // for the size of a chunk of the buffer's size, and its CRLF
)

var uploadMemory = newMemory(uploadBufferSize)

// upload sends a request's body on a goroutine of its own, so that the answer can be read meanwhile.
type upload struct {
	x       *Exchange
	c       *conn
	src     io.Reader
	chunked bool
	timer   *time.Timer // starts it when the server says nothing of 100-continue; nil without that
	buf     *[]byte     // the head is at its start while it waits for the first bytes of the body
	begun   time.Duration

	writing sync.Mutex // guards head and waits; held while the head is written
	head    int        // its bytes at the buffer's start, 0 once the body's first bytes were written behind it
	waits   bool       // it was not written yet

	complete atomic.Bool // the body was read to its end, and its last bytes are sent or being sent

	mu      sync.Mutex
	started bool
	refused bool // it must not start any more
	stopped bool // its exchange has failed, and it with it
	err     error
}

// send writes the request's head, and its body if it has one: on this goroutine the head alone, the body on
// another one.
func (x *Exchange) send() error {
	c := x.conn
	r := x.Request
	if hasBody(r) {
		return x.sendWithBody()
	}
	p, err := appendHead(c.mem[:0], x, c.host.client.options.DisableKeepAlives)
	if err != nil {
		return err
	}
	if _, err = c.Write(p); err != nil {
		return err
	}
	c.awaitHeader()
	return nil
}

func (x *Exchange) sendWithBody() error {
	c, r := x.conn, x.Request
	u := &upload{x: x, c: c, src: r.Body, chunked: r.ContentLength < 0 || len(r.Trailer) > 0, buf: uploadMemory.get()}
	p, err := appendHead((*u.buf)[:0], x, c.host.client.options.DisableKeepAlives)
	if err != nil {
		uploadMemory.put(u.buf)
		return err
	}
	c.parts.Add(1)
	x.upload = u
	expects := httpguts.HeaderValuesContainsToken(r.Header["Expect"], "100-continue")
	if !expects && !u.chunked && len(p) <= uploadBufferSize/2 {
		// The first bytes of the body are probably there, and go out together with the head.
		u.head, u.waits, u.begun = len(p), true, now()
		c.upload.Store(u)
		u.start()
		return nil
	}
	if _, err := c.Write(p); err != nil {
		return err
	}
	if expects {
		u.timer = time.AfterFunc(c.host.client.options.ExpectTimeout, u.start)
		c.awaitHeader()
		return nil
	}
	u.start()
	return nil
}

// awaiting reports whether the body is held back.
func (u *upload) awaiting() bool { return u.timer != nil }

// start starts the upload, once, unless it was stopped.
func (u *upload) start() {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.started || u.refused {
		return
	}
	u.started = true
	u.c.suspendHeader()
	go u.run()
}

// refuse keeps an upload from starting.
func (u *upload) refuse() {
	if u.timer != nil {
		u.timer.Stop()
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	u.refused = true
}

// stopUpload keeps an upload from starting, and from touching what belongs to another try.
func (x *Exchange) stopUpload() {
	u := x.upload
	if u == nil {
		return
	}
	u.refuse()
	u.mu.Lock()
	defer u.mu.Unlock()
	u.stopped = true
}

// failure is why the upload failed; nil when it did not.
func (u *upload) failure() error {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.err
}

// run sends the body. A failure to read it ends the exchange, and so does a time limit; another one to write leaves it, since
// the server may have answered before it closed the connection, and if not, the reader finds out.
func (u *upload) run() {
	err := u.copy()
	u.writing.Lock()
	u.endWait()
	u.writing.Unlock()
	uploadMemory.put(u.buf)
	u.c.awaitHeader()
	if err == nil {
		u.c.done(u.x)
	} else {
		u.fail(err)
	}
}

// fail notes why the upload failed, and ends the exchange where that is needed.
func (u *upload) fail(err error) {
	u.mu.Lock()
	u.err = err
	stopped := u.stopped
	u.mu.Unlock()
	u.c.endsNot(u.x)
	var reading *BodyError
	var limit net.Error
	if !stopped && (errors.As(err, &reading) || errors.As(err, &limit) && limit.Timeout()) {
		u.c.abort(u.x, err)
	}
}

var errBodyLength = errors.New("the body is not as long as its length says")

// copy sends the body, framed.
func (u *upload) copy() error {
	left := u.x.Request.ContentLength
	for {
		room := u.room()
		if u.chunked {
			room = room[chunkLineRoom : len(room)-len("\r\n")]
		} else if int64(len(room)) > left {
			room = room[:left]
		}
		n, err := readSome(u.src, room)
		if err != nil && err != io.EOF {
			return &BodyError{err}
		}
		last := err == io.EOF
		if !u.chunked {
			left -= int64(n)
			if last && left > 0 {
				return &BodyError{errBodyLength}
			}
			if last = left == 0; last {
				u.complete.Store(true)
			}
		}
		if err := u.write(n, last); err != nil {
			return err
		}
		if last {
			return u.finish()
		}
	}
}

// room is where the body is read to.
func (u *upload) room() []byte {
	u.writing.Lock()
	defer u.writing.Unlock()
	return (*u.buf)[u.head:]
}

// readSome reads until there is something, or an error.
func readSome(src io.Reader, p []byte) (int, error) {
	for range maxEmptyReads {
		if n, err := src.Read(p); n > 0 || err != nil {
			return n, err
		}
	}
	return 0, io.ErrNoProgress
}

// late reports whether the head has waited for the body long enough.
func (u *upload) late(at time.Duration) bool { return at-u.begun >= watchEvery }

// sendHead sends the head if it still waits, without the body that lets itself be waited for.
func (u *upload) sendHead() {
	if !u.writing.TryLock() {
		return // it is being sent
	}
	defer u.writing.Unlock()
	if !u.endWait() {
		return
	}
	if _, err := u.c.Write((*u.buf)[:u.head]); err != nil {
		u.fail(err)
	}
}

// endWait ends the waiting of the head, and reports whether it did wait. The caller holds u.writing.
func (u *upload) endWait() bool {
	if !u.waits {
		return false
	}
	u.waits = false
	u.c.upload.Store(nil)
	return true
}

// write sends n bytes of the body that are in the buffer, with the head if it still waits before them.
func (u *upload) write(n int, last bool) error {
	buf := *u.buf
	if !u.chunked {
		u.writing.Lock()
		defer u.writing.Unlock()
		from, to := 0, u.head+n
		if !u.endWait() {
			from = u.head
		}
		u.head = 0
		_, err := u.c.Write(buf[from:to])
		return err
	}
	from, to := chunkLineRoom, chunkLineRoom+n
	if n > 0 {
		// The size is written right before the content, whose place is fixed.
		var line [chunkLineRoom]byte
		size := append(strconv.AppendInt(line[:0], int64(n), 16), "\r\n"...)
		from -= copy(buf[chunkLineRoom-len(size):], size)
		to += copy(buf[to:], "\r\n")
	}
	if last && to+len("0\r\n") <= len(buf) {
		to += copy(buf[to:], "0\r\n")
	} else if last {
		if _, err := u.c.Write(buf[from:to]); err != nil {
			return err
		}
		from, to = 0, copy(buf, "0\r\n")
	}
	if from == to {
		return nil
	}
	_, err := u.c.Write(buf[from:to])
	return err
}

// finish ends a chunked body with its trailers (RFC 9112, section 7.1.2), which are there once it was read.
func (u *upload) finish() error {
	if !u.chunked {
		return nil
	}
	p, err := u.appendTrailers((*u.buf)[:0])
	if err != nil {
		return &BodyError{err}
	}
	u.complete.Store(true)
	_, err = u.c.Write(append(p, "\r\n"...))
	return err
}

// appendTrailers appends the trailers, unless the upload was stopped: they then belong to another try.
func (u *upload) appendTrailers(p []byte) ([]byte, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.stopped {
		return p, net.ErrClosed
	}
	for name, values := range u.x.Request.Trailer {
		if !isTrailer(syntax.Canonical(name)) {
			continue
		}
		var err error
		if p, err = appendField(p, name, values); err != nil {
			return p, err
		}
	}
	return p, nil
}
