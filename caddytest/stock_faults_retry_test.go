package caddytest

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"testing"
	"time"
)

var retryFaults = []fault{
	{
		name: "tried_backends_tried_again", what: "policy `random`, `lb_retries 1`, and one of two backends refuses connections",
		run:   triedBackends,
		stock: "some of 200 requests fail",
		ours:  "none of 200 requests fails",
	},
	{
		name: "stale_connection_post", what: "20 POSTs to a backend that closes each connection, unread, as its second request comes",
		run:   staleConnectionPost,
		stock: "10 are answered 502",
		// That nothing was read cannot be known at first, and a POST must not be sent twice.
		ours: "2 at most are answered 502",
	},
	{
		name: "stale_status_replays_post", what: "`lb_retry_match` asks for POST and status 502; the first try is answered 502, the second breaks after the body was read",
		run:   staleStatus,
		stock: "the POST is sent 3 times",
		ours:  "the POST is sent 2 times",
	},
	{
		name: "retry_burns_connections", what: "20 retries because of the answer's status",
		run:   connectionsOfRetries,
		stock: "21 connections to the backend",
		ours:  "1 connection to the backend",
	},
	{
		name: "status_match_turns_off_get_retries", what: "`lb_retry_match` has only a status, and the first try of a GET breaks without an answer",
		run:   brokenGet,
		stock: "502, after 1 try",
		ours:  "200, after 2 tries",
	},
}

func triedBackends(t *testing.T, proxy string) string {
	b := NewBackends(t, "A", "B")
	b[0].Down()
	s := startAs(t, proxy, `http://127.0.0.1:{$PORT} {
	{$PROXY} {$A} {$B} {
		lb_policy random
		lb_retries 1
	}
}
`, addresses(b...))
	// Each request fails with a chance of one quarter where backends may be tried twice.
	for range 200 {
		if r := s.Get(s.URL("PORT", "/")); r.Status != http.StatusOK {
			return "some of 200 requests fail"
		}
	}
	return "none of 200 requests fails"
}

// hastyBackend answers one request on each connection and closes it, unread, when a second one comes.
type hastyBackend struct{ addr string }

func newHastyBackend(t *testing.T) *hastyBackend {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	b := &hastyBackend{addr: ln.Addr().String()}
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			go b.serve(conn.(*net.TCPConn))
		}
	}()
	return b
}

func (b *hastyBackend) serve(conn *net.TCPConn) {
	defer conn.Close()
	req, err := http.ReadRequest(bufio.NewReader(conn))
	if err != nil {
		return
	}
	_, _ = io.Copy(io.Discard, req.Body)
	_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
	// The first byte tells that a request came; the rest is lost with the connection.
	if n, _ := conn.Read(make([]byte, 1)); n == 1 {
		_ = conn.SetLinger(0)
	}
}

func staleConnectionPost(t *testing.T, proxy string) string {
	b := newHastyBackend(t)
	s := startAs(t, proxy, `http://127.0.0.1:{$PORT} {
	{$PROXY} {$A}
}
`, map[string]string{"A": b.addr})
	lost := 0
	for range 20 {
		if r := s.do(newRequest(t, http.MethodPost, s.URL("PORT", "/"), "body")); r.Status == http.StatusBadGateway {
			lost++
		} else if r.Status != http.StatusOK {
			t.Fatalf("status %d: %s", r.Status, r.Body)
		}
		time.Sleep(20 * time.Millisecond) // the connection is idle
	}
	if lost <= 2 {
		return "2 at most are answered 502" // by how long the machine let connections be idle
	}
	return fmt.Sprintf("%d are answered 502", lost)
}

func staleStatus(t *testing.T, proxy string) string {
	b := NewBackends(t, "A", "B", "C")
	var tries atomic.Int64
	for _, each := range b {
		each.Do(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			switch tries.Add(1) {
			case 1:
				w.WriteHeader(http.StatusBadGateway)
			case 2:
				hangUp(w, r)
			}
		})
	}
	s := startAs(t, proxy, `http://127.0.0.1:{$PORT} {
	{$PROXY} {$A} {$B} {$C} {
		lb_policy round_robin
		lb_retries 5
		lb_retry_match {
			method POST
			expression `+"`{rp.status_code} == 502`"+`
		}
		request_buffers 4KiB
	}
}
`, addresses(b...))
	s.do(newRequest(t, http.MethodPost, s.URL("PORT", "/"), "one order"))
	return fmt.Sprintf("the POST is sent %d times", tries.Load())
}

func connectionsOfRetries(t *testing.T, proxy string) string {
	b := NewBackends(t, "A")
	var connections set
	b[0].Do(func(w http.ResponseWriter, r *http.Request) {
		connections.add(r.RemoteAddr)
		answer(http.StatusServiceUnavailable)(w, r)
	})
	s := startAs(t, proxy, `http://127.0.0.1:{$PORT} {
	{$PROXY} {$A} {
		lb_retries 20
		lb_retry_match {
			expression `+"`{rp.status_code} == 503`"+`
		}
	}
}
`, addresses(b...))
	s.Get(s.URL("PORT", "/"))
	if b[0].Hits() != 21 {
		t.Fatalf("the backend was tried %d times, want 21", b[0].Hits())
	}
	if connections.size() == 1 {
		return "1 connection to the backend"
	}
	return fmt.Sprintf("%d connections to the backend", connections.size())
}

func brokenGet(t *testing.T, proxy string) string {
	b := NewBackends(t, "A")
	b[0].Do(func(w http.ResponseWriter, r *http.Request) {
		if b[0].Hits() == 1 {
			hangUp(w, r)
		}
		answer(http.StatusOK)(w, r)
	})
	s := startAs(t, proxy, `http://127.0.0.1:{$PORT} {
	{$PROXY} {$A} {
		lb_retries 2
		lb_retry_match {
			expression `+"`{rp.status_code} == 503`"+`
		}
	}
}
`, addresses(b...))
	r := s.Get(s.URL("PORT", "/"))
	if b[0].Hits() == 1 {
		return fmt.Sprintf("%d, after 1 try", r.Status)
	}
	return fmt.Sprintf("%d, after %d tries", r.Status, b[0].Hits())
}
