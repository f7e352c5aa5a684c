package caddytest

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"sync"
	"testing"

	"github.com/caddylb/caddy-lb/caddytest/internal/judge"
	"github.com/caddylb/caddy-lb/caddytest/internal/strict"
)

// recorder is a backend that keeps all that comes, reads it strictly, and answers each message with
// what it was.
type recorder struct {
	addr string

	mu       sync.Mutex
	messages map[string][]*strict.Request // by the client's address
	unclear  []string
	served   int
	conns    sync.WaitGroup
}

// listen accepts connections, each for serve, until the test ends.
func listen(t testing.TB, conns *sync.WaitGroup, serve func(net.Conn)) (addr string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			conns.Add(1)
			go func() {
				defer conns.Done()
				defer conn.Close()
				serve(conn)
			}()
		}
	}()
	return ln.Addr().String()
}

func newRecorder(t testing.TB) *recorder {
	r := &recorder{messages: make(map[string][]*strict.Request)}
	r.addr = listen(t, &r.conns, r.serve)
	return r
}

// serve reads one connection to its end.
func (r *recorder) serve(conn net.Conn) {
	var buf []byte
	piece := make([]byte, 32<<10)
	told := false
	for {
		m, n, err := strict.Reader{Allowed: judge.ToBackends}.Request(buf)
		switch {
		case err == nil:
			buf, told = buf[n:], false
			if _, err := conn.Write(r.note(m)); err != nil {
				return
			}
			continue
		case !errors.Is(err, strict.ErrIncomplete):
			r.blame("%v in %.500q", err, buf)
			return
		case !told && expects(buf):
			told = true
			if _, err := conn.Write([]byte("HTTP/1.1 100 Continue\r\n\r\n")); err != nil {
				return
			}
		}
		n, err = conn.Read(piece)
		if buf = append(buf, piece[:n]...); err != nil {
			return // what is left is not complete, so it is no message
		}
	}
}

// expects reports whether a head is there that waits for a 100.
func expects(p []byte) bool {
	head, _, whole := bytes.Cut(p, []byte("\r\n\r\n"))
	return whole && bytes.Contains(bytes.ToLower(head), []byte("\r\nexpect: 100-continue"))
}

func (r *recorder) blame(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.unclear = append(r.unclear, fmt.Sprintf(format, args...))
}

// note records a message and returns the answer to it.
func (r *recorder) note(m *strict.Request) []byte {
	status := "200 OK"
	if m.Method == "CONNECT" {
		status = "405 Method Not Allowed" // 2xx would begin a tunnel
	}
	r.record(m)
	body := judge.Line(m)
	answer := fmt.Appendf(nil, "HTTP/1.1 %s\r\n%s: %s\r\n%s: %s\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n", status,
		judge.ForField, clientOf(m), judge.LineField, judge.Line(m), len(body))
	if m.Method != "HEAD" {
		answer = append(answer, body...)
	}
	return answer
}

func (r *recorder) record(m *strict.Request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.served++
	client := clientOf(m)
	r.messages[client] = append(r.messages[client], m)
}

// clientOf is the address that the proxy says a message came from.
func clientOf(m *strict.Request) string {
	values := m.Fields.Values("X-Forwarded-For")
	if len(values) != 1 {
		return fmt.Sprintf("%q", values)
	}
	return values[0]
}
