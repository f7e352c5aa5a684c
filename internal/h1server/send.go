package h1server

import (
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/net/http/httpguts"
)

const copyBufferSize = 32 << 10

var copyBuffers = sync.Pool{New: func() any { return new([copyBufferSize]byte) }}

// buffer is what is to be sent.
func (x *exchange) buffer() *[]byte {
	if x.out == nil {
		x.out = outBuffers.Get().(*[]byte)
	}
	return x.out
}

// send sends a part of the body, or keeps it in the buffer if there is room.
func (x *exchange) send(p []byte) error {
	if x.req.Method == http.MethodHead {
		return nil
	}
	out := x.buffer()
	end := ""
	if x.chunked {
		*out = strconv.AppendUint(*out, uint64(len(p)), 16)
		*out = append(*out, crlf...)
		end = crlf
	}
	if len(*out)+len(p)+len(end) > cap(*out) {
		return x.sendLarge(p, end)
	}
	*out = append(append(*out, p...), end...)
	return nil
}

const crlf = "\r\n"

var crlfBytes = []byte(crlf)

// sendLarge sends what is in the buffer, and p and its end, for which there is no room.
func (x *exchange) sendLarge(p []byte, end string) error {
	c, out := x.c, x.buffer()
	if c.tcp != nil {
		x.dropDeadline()
		c.vector = [3][]byte{*out, p, crlfBytes[:len(end)]}
		c.vectors = c.vector[:]
		_, err := c.vectors.WriteTo(c.tcp)
		c.vector = [3][]byte{}
		*out = (*out)[:0]
		return x.note(err)
	}
	// Records of TLS are to be as full as can be.
	if n := min(len(p), cap(*out)-len(*out)); n > 0 && len(*out) > 0 {
		*out = append(*out, p[:n]...)
		p = p[n:]
	}
	if err := x.flush(); err != nil {
		return err
	}
	if len(p)+len(end) > cap(*out) {
		_, err := c.nc.Write(p)
		p = nil
		if err != nil {
			return x.note(err)
		}
	}
	*out = append(append(*out, p...), end...)
	return nil
}

// flush sends what is in the buffer.
func (x *exchange) flush() error {
	if err := x.c.failed(); err != nil {
		return err
	}
	if x.out == nil || len(*x.out) == 0 {
		return nil
	}
	x.dropDeadline()
	_, err := x.c.nc.Write(*x.out)
	*x.out = (*x.out)[:0]
	return x.note(err)
}

// dropDeadline ends the deadline that an earlier request has set. Most set one of their own.
func (x *exchange) dropDeadline() {
	if !x.writeTimed.Load() && x.c.writeArmed.Swap(false) {
		_ = x.c.nc.SetWriteDeadline(time.Time{})
	}
}

// note takes note of an error in writing: nothing can follow it, and the client is as good as gone.
func (x *exchange) note(err error) error {
	if err != nil {
		x.c.writeError.CompareAndSwap(nil, &err)
		x.cancel()
		_ = x.c.nc.Close()
	}
	return err
}

// failed is the error of an earlier write.
func (c *conn) failed() error {
	if err := c.writeError.Load(); err != nil {
		return *err
	}
	return nil
}

// endChunks ends a chunked body, with the trailers there are.
func (x *exchange) endChunks() {
	out := x.buffer()
	*out = append(*out, "0\r\n"...)
	for name, values := range x.header {
		if name, ok := strings.CutPrefix(name, http.TrailerPrefix); ok {
			*out = appendField(*out, name, values)
		}
	}
	for _, name := range x.trailers {
		*out = appendField(*out, name, x.header[name])
	}
	*out = append(*out, crlf...)
}

// declareTrailers takes note of the trailers that the header announces (RFC 9110, section 6.6.2).
func (x *exchange) declareTrailers(lists []string) {
	for _, list := range lists {
		for name := range strings.SplitSeq(list, ",") {
			name = http.CanonicalHeaderKey(strings.Trim(name, " \t"))
			if name != "" && httpguts.ValidTrailerHeader(name) {
				x.trailers = append(x.trailers, name)
			}
		}
	}
}
