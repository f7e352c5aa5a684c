package h1

import (
	"io"
	"net/http"

	"github.com/caddylb/caddy-lb/internal/syntax"
)

// receive reads answers up to the header of the final one.
func (x *Exchange) receive() error {
	for {
		h, err := x.readHead()
		if err != nil {
			return err
		}
		if h.status >= 200 || h.status == http.StatusSwitchingProtocols {
			x.conn.headerBy.Store(headerCame)
			if x.upload != nil && x.upload.awaiting() {
				x.upload.refuse()
			}
			return x.answer(h)
		}
		if x.Interim != nil {
			if err := x.Interim.Interim(h.status, h.header); err != nil {
				return err
			}
		}
		if h.status == http.StatusContinue && x.upload != nil && x.upload.awaiting() {
			x.upload.start()
		}
	}
}

// readHead reads one head.
func (x *Exchange) readHead() (head, error) {
	c := x.conn
	for looked := 0; ; {
		if n := syntax.HeadEnd(c.bytes(), looked); n > 0 {
			h, err := parseHead(c.bytes()[:n])
			if err == nil {
				c.skip(n)
				if h.status < 200 {
					x.interims += n
				}
			}
			return h, err
		}
		looked = c.len()
		if looked+x.interims > c.host.client.options.MaxHeaderBytes {
			return head{}, malformed("its header exceeds %d bytes", c.host.client.options.MaxHeaderBytes)
		}
		if err := c.fill(c.Conn); err != nil {
			if err == io.EOF && looked > 0 {
				err = io.ErrUnexpectedEOF
			}
			return head{}, err
		}
	}
}

// answer makes the response of a final head.
func (x *Exchange) answer(h head) error {
	method := x.Request.Method
	f, err := h.frame(method)
	if err != nil {
		return err
	}
	if f.upgrade && x.upload != nil && !x.upload.complete.Load() {
		return ErrSwitchedEarly
	}
	x.framing = f
	x.framing.close = f.close || x.last
	r := &x.Response
	*r = http.Response{
		Status: h.reason, StatusCode: h.status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: h.header, ContentLength: f.length, Close: f.close, Request: x.Request,
	}
	if h.minor == 0 {
		r.Proto, r.ProtoMinor = "HTTP/1.0", 0
	}
	if f.upgrade {
		r.Body = x.upgraded()
		return nil
	}
	if f.chunked {
		r.Trailer = announced(h.header)
	}
	x.body = answerBody{x: x, left: f.length}
	if !h.hasBody(method) || f.length == 0 && !f.chunked {
		r.Body = http.NoBody
		x.body.err = io.EOF
		x.body.finish()
		return nil
	}
	r.Body = &x.body
	return nil
}
