package lbproxy

import (
	"io"
	"net/http"
	"sync"
)

// continuation is the body of a client that waits for 100 (Continue) before it sends it (RFC 9110,
// section 10.1.1). Servers of HTTP/1 send that by themselves when the body is first read, unless it
// was sent before or a final answer has begun. The body is read on another goroutine than the one
// that answers. So a 100 of the backend is sent right when it comes: the final answer may be next,
// and would forbid it.
type continuation struct {
	io.ReadCloser

	mu    sync.Mutex // held while an interim answer is written
	told  bool       // the client was sent a 100 of the backend
	asked bool       // the body is read or was, so that the server sends a 100 about now
	came  bool       // something of the body has come, or its end
}

// awaitContinue puts a continuation before the body of a client that waits for one.
func (ex *exchange) awaitContinue(body io.ReadCloser) io.ReadCloser {
	if !ex.in.ProtoAtLeast(1, 1) || !expectsContinue(ex.in.Header) {
		return body
	}
	ex.waiting = &continuation{ReadCloser: body}
	return ex.waiting
}

// Read implements io.Reader.
func (c *continuation) Read(p []byte) (int, error) {
	c.mu.Lock()
	c.asked = true
	c.mu.Unlock()
	n, err := c.ReadCloser.Read(p)
	c.mu.Lock()
	c.came = true
	c.mu.Unlock()
	return n, err
}

// interim passes an interim answer on. The client is told to continue once, except where the server
// may be about to do so: whether its 100 is on its way cannot be known, and one too many does no
// harm.
func (c *continuation) interim(ex *exchange, code int, header http.Header) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	known := c.told || c.came
	switch {
	case code == http.StatusContinue && known:
		return nil
	case code == http.StatusContinue:
		c.told = true
	case c.asked && !known:
		// net/http must not write its 100 at the same time as another interim answer. After an
		// explicit 100 it writes none.
		c.told = true
		if err := ex.sendInterim(http.StatusContinue, nil); err != nil {
			return err
		}
	}
	return ex.sendInterim(code, header)
}
