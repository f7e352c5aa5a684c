package h1server

import (
	"bufio"
	"context"
	"net"
	"net/http"
	"time"
)

// Adopt takes over the connection of a request that a server of net/http is about to hand to its handler, serves the request, and those
// that follow on the connection, on a goroutine of their own. It reports false, and has done nothing, for what it leaves to
// net/http: other versions than HTTP/1, and requests after which the connection ends, changes its
// protocol or may do so. A request that is in doubt, as by [IsInDoubt], is taken over in any case,
// so that its body is read as strictly as all others.
func (s *Server) Adopt(w http.ResponseWriter, r *http.Request) bool {
	if !isAdoptable(r) {
		return false
	}
	hijacker, ok := w.(http.Hijacker)
	if !ok {
		return false
	}
	c := newConn(s)
	if !s.track(c) && !c.inherit() {
		return false
	}
	nc, rw, err := hijacker.Hijack()
	if err != nil {
		c.server.untrack(c)
		return false
	}
	ahead, _ := rw.Reader.Peek(rw.Reader.Buffered())
	c.open(context.WithoutCancel(r.Context()), nc, ahead)
	c.remoteAddr, c.tls, c.lastPost = r.RemoteAddr, r.TLS, r.Method == http.MethodPost

	x := c.newExchange()
	ctx := x.req.Context()
	x.req = r.WithContext(ctx)
	x.wantsClose = r.Close || firstIsAmbiguous(r, rw.Reader)
	x.http10 = r.ProtoMinor == 0
	x.keepAlive10 = x.http10 && !r.Close
	x.setBody()
	_ = x.expect() // net/http has refused what is not known
	if limit := c.server.options.ReadTimeout; limit > 0 {
		_ = x.SetReadDeadline(time.Now().Add(limit)) // anew: taking the connection over has ended what there was
	}
	x.limitWriting()
	go c.serve(x)
	return true
}

func isAdoptable(r *http.Request) bool {
	if IsInDoubt(r) {
		return true
	}
	if r.ProtoMajor != 1 || r.ProtoMinor != 1 || r.Close || r.ContentLength < 0 || r.Method == http.MethodConnect {
		return false
	}
	for _, field := range [...]string{"Upgrade", "Expect"} {
		if _, ok := r.Header[field]; ok {
			return false
		}
	}
	return true
}

// open gives c its connection, of which ahead was read already.
func (c *conn) open(ctx context.Context, nc net.Conn, ahead []byte) {
	c.nc, c.ctx = nc, ctx
	c.ahead = append([]byte(nil), ahead...)
	c.tcp, _ = nc.(*net.TCPConn)
	c.br = readers.Get().(*bufio.Reader)
	c.br.Reset(c)
}
