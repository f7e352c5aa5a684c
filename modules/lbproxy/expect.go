package lbproxy

import (
	"errors"
	"io"
	"net/http"
	"sync"
	"sync/atomic"

	"golang.org/x/net/http/httpguts"
)

// errNotContinued ends the body of a request that the backend answered without asking for it.
var errNotContinued = errors.New("the backend answered without asking for the body")

// expectation is the "Expect: 100-continue" of one try (RFC 9110, section 10.1.1). The server tells
// the client to go on when the body is first read, so the body must not be read before the backend
// asked for it, or has been silent for too long. net/http's transport waits for that; but once a
// final answer is there it reads the body, too, to go on with the connection. It is held off then,
// until the answer was delivered or the transport gives up.
type expectation struct {
	continued atomic.Bool // the backend asked for the body
	answering atomic.Bool // an answer has begun that is not an interim one as far as is known
	over      chan struct{}
}

func expectsContinue(header http.Header) bool {
	return len(header["Expect"]) > 0 && httpguts.HeaderValuesContainsToken(header["Expect"], "100-continue")
}

// expect watches over the body of an attempt whose request expects to be told to continue.
func (t *trace) expect() {
	ex := t.a.ex
	if ex.over == nil {
		ex.over = make(chan struct{})
	}
	e := &expectation{over: ex.over}
	t.expectation = e
	t.hooks.Got100Continue = func() {
		e.continued.Store(true)
		// The transport begins to read the body before it reports this answer as an interim one.
		_ = t.gotInterim(http.StatusContinue, nil)
	}
	t.hooks.GotFirstResponseByte = func() { e.answering.Store(true) }
}

// guard puts the expectation before a body; without one the body stays as it is.
func (t *trace) guard(body *bodyReader) io.ReadCloser {
	if t == nil {
		return body
	}
	t.sent.reader = body
	if t.expectation == nil {
		return body
	}
	t.sent.expected = &expectedBody{ReadCloser: body, expectation: t.expectation, closed: make(chan struct{})}
	return t.sent.expected
}

type expectedBody struct {
	io.ReadCloser
	*expectation
	reading bool
	closing sync.Once
	closed  chan struct{}
}

// Read implements io.Reader.
func (b *expectedBody) Read(p []byte) (int, error) {
	if !b.reading {
		if !b.continued.Load() && b.answering.Load() {
			select {
			case <-b.over:
			case <-b.closed:
			}
			return 0, errNotContinued
		}
		b.reading = true
	}
	return b.ReadCloser.Read(p)
}

// Close implements io.Closer. A read that is held off ends.
func (b *expectedBody) Close() error {
	b.letGo()
	return b.ReadCloser.Close()
}

// letGo ends a read that is held off.
func (b *expectedBody) letGo() { b.closing.Do(func() { close(b.closed) }) }
