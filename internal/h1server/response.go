package h1server

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"time"
)

// errHandlerDone is the use of a ResponseWriter whose handler has returned.
var errHandlerDone = errors.New("the handler has returned")

// Header implements http.ResponseWriter.
func (x *exchange) Header() http.Header { return x.header }

// WriteHeader implements http.ResponseWriter.
func (x *exchange) WriteHeader(status int) {
	switch {
	case x.isHijacked.Load():
		x.log("http: response.WriteHeader on hijacked connection")
		return
	case x.status != 0:
		x.log("http: superfluous response.WriteHeader call")
		return
	case status < 100 || status > 999:
		panic("invalid WriteHeader code " + strconv.Itoa(status))
	}
	if status < 200 && status != http.StatusSwitchingProtocols {
		x.sendInterim(status)
		return
	}
	x.forbidContinue()
	x.status = status
	if values := x.header["Content-Length"]; len(values) > 0 && values[0] != "" {
		if n, err := strconv.ParseInt(values[0], 10, 64); err == nil && n >= 0 {
			x.contentLength = n
		} else {
			x.log("http: invalid Content-Length of " + strconv.Quote(values[0]))
			delete(x.header, "Content-Length")
		}
	}
	x.openHeader()
}

// Write implements io.Writer.
func (x *exchange) Write(p []byte) (int, error) {
	if x.isHijacked.Load() {
		if len(p) > 0 {
			x.log("http: response.Write on hijacked connection")
		}
		return 0, http.ErrHijacked
	}
	if x.done.Load() {
		return 0, errHandlerDone
	}
	if x.status == 0 {
		x.WriteHeader(http.StatusOK)
	}
	if len(p) == 0 {
		return 0, nil
	}
	if !allowsBody(x.status) {
		return 0, http.ErrBodyNotAllowed
	}
	x.written += int64(len(p))
	if x.contentLength >= 0 && x.written > x.contentLength {
		return 0, http.ErrContentLength
	}
	if err := x.c.failed(); err != nil {
		return 0, err
	}
	n := len(p)
	if !x.fields.closed {
		p = x.hold(p)
		if len(p) == 0 {
			return n, nil
		}
		x.closeHeader()
	} else if x.chunked && len(p) < pendingSize {
		// Small writes share a chunk.
		if p = x.hold(p); len(p) == 0 {
			return n, nil
		}
		err := x.sendPending()
		x.hold(p)
		return n, err
	}
	if err := x.sendPending(); err != nil {
		return 0, err
	}
	if err := x.send(p); err != nil {
		return 0, err
	}
	return n, nil
}

// WriteString implements io.StringWriter.
func (x *exchange) WriteString(s string) (int, error) {
	return io.Writer(x).Write([]byte(s))
}

// hold keeps as much of p as there is room for, and returns the rest.
func (x *exchange) hold(p []byte) []byte {
	if x.pending == nil {
		x.pending = pendingBuffers.Get().(*[]byte)
	}
	n := min(len(p), cap(*x.pending)-len(*x.pending))
	*x.pending = append(*x.pending, p[:n]...)
	return p[n:]
}

// sendPending sends what was held, once the header is closed.
func (x *exchange) sendPending() error {
	if x.pending == nil || len(*x.pending) == 0 {
		return nil
	}
	err := x.send(*x.pending)
	*x.pending = (*x.pending)[:0]
	return err
}

// Flush implements http.Flusher.
func (x *exchange) Flush() { _ = x.FlushError() }

// FlushError sends what was written, the header at least.
func (x *exchange) FlushError() error {
	if x.isHijacked.Load() {
		return http.ErrHijacked
	}
	if x.done.Load() {
		return errHandlerDone
	}
	if x.status == 0 {
		x.WriteHeader(http.StatusOK)
	}
	x.closeHeader()
	if err := x.sendPending(); err != nil {
		return err
	}
	return x.flush()
}

// ReadFrom implements io.ReaderFrom: a file goes to the client by the kernel alone, where that is possible.
func (x *exchange) ReadFrom(src io.Reader) (int64, error) {
	if x.c.tcp == nil || x.chunked || x.isHijacked.Load() || x.req.Method == http.MethodHead {
		return x.copyFrom(src)
	}
	var n int64
	if !x.fields.closed || x.status == 0 {
		// Something of it has to be there before the header goes out, and its type may be looked for.
		var err error
		if n, err = x.copyFrom(io.LimitReader(src, pendingSize)); err != nil || n < pendingSize {
			return n, err
		}
	}
	if err := x.FlushError(); err != nil {
		return n, err
	}
	if x.chunked || !allowsBody(x.status) {
		more, err := x.copyFrom(src)
		return n + more, err
	}
	more, err := x.c.tcp.ReadFrom(x.bound(src))
	x.written += more
	return n + more, err
}

// bound keeps src from exceeding the answer's length. The kernel knows a file behind one io.LimitedReader, not behind two.
func (x *exchange) bound(src io.Reader) io.Reader {
	left := x.contentLength - x.written
	if limited, ok := src.(*io.LimitedReader); x.contentLength < 0 || ok && limited.N <= left {
		return src
	}
	return io.LimitReader(src, left)
}

func (x *exchange) copyFrom(src io.Reader) (int64, error) {
	buf := copyBuffers.Get().(*[copyBufferSize]byte)
	defer copyBuffers.Put(buf)
	return io.CopyBuffer(struct{ io.Writer }{x}, src, buf[:])
}

// SetReadDeadline is for [http.ResponseController].
func (x *exchange) SetReadDeadline(at time.Time) error {
	x.c.touched.Store(true)
	return x.c.nc.SetReadDeadline(at)
}

// SetWriteDeadline is for [http.ResponseController].
func (x *exchange) SetWriteDeadline(at time.Time) error {
	x.writeTimed.Store(true)
	x.c.writeArmed.Store(!at.IsZero())
	return x.c.nc.SetWriteDeadline(at)
}

// EnableFullDuplex is for [http.ResponseController].
func (x *exchange) EnableFullDuplex() error {
	x.fullDuplex = true
	return nil
}

// Hijack implements http.Hijacker.
func (x *exchange) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	if x.done.Load() {
		panic("h1server: Hijack called after ServeHTTP finished")
	}
	if x.isHijacked.Load() {
		return nil, nil, http.ErrHijacked
	}
	x.forbidContinue()
	if x.status != 0 {
		x.closeHeader()
		if err := x.flush(); err != nil {
			return nil, nil, err
		}
	}
	c := x.c
	c.mu.Lock()
	defer c.mu.Unlock()
	x.isHijacked.Store(true)
	c.hijacked = true
	c.stopWatch()
	c.server.untrack(c) // whoever has it decides about its end
	_ = c.nc.SetDeadline(time.Time{})
	if len(c.ahead) > 0 {
		// Whoever looks at what is buffered has to find it. There is room, as the request's last byte came in with the same reading.
		if _, err := c.br.Peek(c.br.Buffered() + len(c.ahead)); err != nil {
			return nil, nil, err
		}
	}
	x.giveBack()
	return c.nc, bufio.NewReadWriter(c.br, bufio.NewWriter(c.nc)), nil
}

// log tells of a handler's misuse.
func (x *exchange) log(text string) { x.c.server.options.Misused(text) }
