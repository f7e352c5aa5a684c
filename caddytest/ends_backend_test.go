package caddytest

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
)

// endsBackend gives the answers of the table, frame by frame, and notes for each request when the
// proxy is done with it: when both directions of its stream, or its connection, have ended.
type endsBackend struct {
	addr string

	mu    sync.Mutex
	cells map[string]*endsCell
}

// endsCell is one pair of request and answer on its way through the proxy.
type endsCell struct {
	endsCase
	id   string
	here chan struct{} // closed when the backend has the head of the request
	over bool          // the proxy is done with it; guarded by the backend's mu
}

// startEnds listens, with TLS if config is not nil, and has serve serve each connection.
func startEnds(t *testing.T, config *tls.Config, serve func(*endsBackend, net.Conn)) *endsBackend {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b := &endsBackend{addr: ln.Addr().String(), cells: make(map[string]*endsCell)}
	var conns sync.WaitGroup
	open := make(map[net.Conn]bool)
	conns.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			if config != nil {
				conn = tls.Server(conn, config)
			}
			b.mu.Lock()
			open[conn] = true
			b.mu.Unlock()
			conns.Go(func() {
				defer conn.Close()
				serve(b, conn)
			})
		}
	})
	t.Cleanup(func() {
		ln.Close()
		b.mu.Lock()
		for conn := range open {
			conn.Close()
		}
		b.mu.Unlock()
		conns.Wait()
	})
	return b
}

// endsTLS is a configuration for HTTP/2 over TLS on loopback.
func endsTLS() (config *tls.Config, authority *httptest.Server) {
	server := httptest.NewTLSServer(nil)
	defer server.Close()
	return &tls.Config{Certificates: server.TLS.Certificates, NextProtos: []string{"h2"}}, server
}

// expect tells the backend of a request that will come.
func (b *endsBackend) expect(cell *endsCell) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.cells[cell.id] = cell
}

// meet finds the cell of a request that came.
func (b *endsBackend) meet(path string) *endsCell {
	b.mu.Lock()
	defer b.mu.Unlock()
	cell := b.cells[path[strings.LastIndexByte(path, '/')+1:]]
	close(cell.here)
	return cell
}

// done notes that the proxy is done with a cell.
func (b *endsBackend) done(cell *endsCell) {
	b.mu.Lock()
	defer b.mu.Unlock()
	cell.over = true
}

// left are the requests that have come and that the proxy is not done with.
func (b *endsBackend) left() (cells []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, cell := range b.cells {
		select {
		case <-cell.here:
			if !cell.over {
				cells = append(cells, cell.String())
			}
		default:
		}
	}
	return cells
}

// String names the cell.
func (c *endsCell) String() string {
	return "request " + c.form.name + "; answer " + c.answer.name + " " + string(c.answer.moment)
}

// serveEndsHTTP1 serves a connection over HTTP/1.1.
func serveEndsHTTP1(b *endsBackend, conn net.Conn) {
	in := bufio.NewReader(conn)
	for {
		req, err := http.ReadRequest(in)
		if err != nil {
			return
		}
		cell := b.meet(req.URL.Path)
		goesOn := answerEndsHTTP1(cell.answer, conn, req)
		b.done(cell)
		if !goesOn {
			return
		}
	}
}

// answerEndsHTTP1 gives one answer, waits until the proxy is done with the request, and reports
// whether another may follow on the connection.
func answerEndsHTTP1(a endsAnswer, conn net.Conn, req *http.Request) bool {
	begins := bufio.NewReader(req.Body)
	switch a.moment {
	case onFirst:
		_, _ = begins.Peek(1)
	case onEnd:
		if _, err := io.Copy(io.Discard, begins); err != nil || a.status == 0 && a.cut == noCut {
			_, _ = io.Copy(io.Discard, conn)
			return false
		}
	}
	_, _ = io.WriteString(conn, endsText(a))
	switch a.cut {
	case resetNormal:
		_ = conn.(*net.TCPConn).CloseWrite()
		_, _ = io.Copy(io.Discard, conn)
		return false
	case resetError:
		_ = conn.(*net.TCPConn).SetLinger(0)
		return false
	}
	_, err := io.Copy(io.Discard, begins)
	return err == nil
}

// endsText is an answer over HTTP/1.1.
func endsText(a endsAnswer) string {
	if a.status == 0 {
		return ""
	}
	var s strings.Builder
	fmt.Fprintf(&s, "HTTP/1.1 %d %s\r\n", a.status, http.StatusText(a.status))
	if a.trailer {
		s.WriteString("Trailer: X-End\r\n")
	}
	if a.cut != noCut {
		s.WriteString("Connection: close\r\n")
	}
	switch {
	case a.status == http.StatusNoContent:
		s.WriteString("\r\n")
	case a.length >= 0:
		fmt.Fprintf(&s, "Content-Length: %d\r\n\r\n%s", a.length, a.body)
	default:
		fmt.Fprintf(&s, "Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n", len(a.body), a.body)
		switch {
		case a.short:
		case a.trailer:
			s.WriteString("0\r\nX-End: 1\r\n\r\n")
		default:
			s.WriteString("0\r\n\r\n")
		}
	}
	return s.String()
}
