package caddytest

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

const clientsSite = `{
	grace_period 10s
	local_certs
	skip_install_trust
}
http://127.0.0.1:{$PORT} {
	header X-Config 0
	lb_proxy {$A}
}
https://localhost:{$PORT2} {
	header X-Config 0
	lb_proxy {$A}
}
`

// marked is clientsSite in its n-th edition, which answers tell.
func marked(n int) string {
	return strings.ReplaceAll(clientsSite, "X-Config 0", fmt.Sprint("X-Config ", n))
}

// keptClient is a client with one connection, which it keeps as long as it may.
type keptClient struct {
	host string
	dial func() (net.Conn, error)
	conn net.Conn
	in   *bufio.Reader
}

// plainClient and secureClient are clients of the two sites of clientsSite.
func plainClient(s *Server) *keptClient {
	return &keptClient{host: "127.0.0.1", dial: func() (net.Conn, error) { return net.Dial("tcp", "127.0.0.1:"+s.vars["PORT"]) }}
}

func secureClient(s *Server) *keptClient {
	return &keptClient{host: "localhost", dial: func() (net.Conn, error) {
		return tls.Dial("tcp", "127.0.0.1:"+s.vars["PORT2"], &tls.Config{
			ServerName: "localhost", InsecureSkipVerify: true, NextProtos: []string{"http/1.1"},
		})
	}}
}

// get sends one request. A connection that ended before a byte of the answer came is an error only if the request was not its first:
// a new one may have waited in a listener that was closed.
func (c *keptClient) get(method, body string) (*http.Response, string, error) {
	fresh := c.conn == nil
	if fresh {
		conn, err := c.dial()
		if err != nil {
			return nil, "", nil // the listener is being replaced
		}
		c.conn, c.in = conn, bufio.NewReader(conn)
	}
	_ = c.conn.SetDeadline(time.Now().Add(patience()))
	fmt.Fprintf(c.conn, "%s / HTTP/1.1\r\nHost: %s\r\nContent-Length: %d\r\n\r\n%s", method, c.host, len(body), body)
	resp, err := http.ReadResponse(c.in, nil)
	if err != nil {
		c.close()
		if fresh && (errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET)) {
			return nil, "", nil
		}
		return nil, "", err
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	if err != nil || resp.Close {
		c.close()
	}
	return resp, string(got), err
}

func (c *keptClient) close() {
	c.conn.Close()
	c.conn = nil
}

// Clients that keep their connections lose no request by reloads: each is answered by the configuration that is in force, and a
// connection ends only with an answer that says so.
func TestReloadsLoseNoRequestOfKeptConnections(t *testing.T) {
	b := NewBackends(t, "A")
	s := Start(t, clientsSite, addresses(b...))
	stop := make(chan struct{})
	var answered, ended atomic.Int64
	var wg sync.WaitGroup
	for i := range 16 {
		c := plainClient(s)
		if i%4 == 3 {
			c = secureClient(s)
		}
		method := []string{http.MethodGet, http.MethodPost}[i%2]
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				resp, _, err := c.get(method, "")
				switch {
				case err != nil:
					t.Errorf("%s on a kept connection: %v", method, err)
				case resp != nil && resp.StatusCode != http.StatusOK:
					t.Errorf("%s: %s", method, resp.Status)
				case resp != nil:
					answered.Add(1)
					if resp.Close {
						ended.Add(1)
					}
				}
			}
		})
	}
	for i := range 10 {
		s.mustReload(marked(i + 1))
	}
	close(stop)
	wg.Wait()
	if answered.Load() < 100 || ended.Load() == 0 {
		t.Errorf("%d requests were answered, %d of them as the last one of their connection", answered.Load(), ended.Load())
	}
}

// An idle connection is there for the next request after a reload, which the new configuration answers.
func TestIdleConnectionMovesToTheNewConfiguration(t *testing.T) {
	b := NewBackends(t, "A")
	s := Start(t, clientsSite, addresses(b...))
	for name, c := range map[string]*keptClient{"http": plainClient(s), "https": secureClient(s)} {
		t.Run(name, func(t *testing.T) {
			s.mustReload(clientsSite)
			var resp *http.Response
			eventually(t, "a first answer", func() bool {
				resp, _, _ = c.get(http.MethodGet, "")
				return resp != nil
			})
			if resp.Header.Get("X-Config") != "0" || resp.Close {
				t.Fatalf("first answer: configuration %s, closing %v", resp.Header.Get("X-Config"), resp.Close)
			}
			s.mustReload(marked(1))
			resp, _, err := c.get(http.MethodGet, "")
			if err != nil || resp == nil {
				t.Fatalf("after the reload: %v", err)
			}
			if resp.Header.Get("X-Config") != "1" || !resp.Close {
				t.Errorf("after the reload: configuration %s, closing %v; want 1, closing", resp.Header.Get("X-Config"), resp.Close)
			}
		})
	}
}

// With the engine turned off, and for other versions of HTTP, clients are served by net/http.
func TestClientsOfNetHTTP(t *testing.T) {
	b := NewBackends(t, "A")
	s := Start(t, "{\n\tlb_clients {\n\t\tengine net/http\n\t}\n}\nhttp://127.0.0.1:{$PORT} {\n\tlb_proxy {$A}\n}\n", addresses(b...))
	for range 3 {
		if r := s.Get(s.URL("PORT", "/")); r.Status != http.StatusOK {
			t.Errorf("status %d", r.Status)
		}
	}
}

// A request under way when the process is told to end is answered, and the process waits for that.
func TestExitWaitsForRequestsOfKeptConnections(t *testing.T) {
	b := NewBackends(t, "A")
	begun, proceed := make(chan struct{}), make(chan struct{})
	b[0].Do(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPut {
			close(begun)
			<-proceed
		}
		fmt.Fprint(w, "done")
	})
	s := Start(t, clientsSite, addresses(b...))
	c := plainClient(s)
	if resp, _, err := c.get(http.MethodGet, ""); err != nil || resp == nil {
		t.Fatal(err)
	}
	type result struct {
		resp *http.Response
		body string
		err  error
	}
	results := make(chan result, 1)
	go func() {
		resp, body, err := c.get(http.MethodPut, "")
		results <- result{resp, body, err}
	}()
	select {
	case <-begun:
	case r := <-results:
		t.Fatalf("the request was not sent: %q, %v", r.body, r.err)
	}
	s.Signal(syscall.SIGTERM)
	eventually(t, "the server shuts down", func() bool { return s.output.contains("servers shutting down") })
	close(proceed)
	if r := <-results; r.err != nil || r.body != "done" || !r.resp.Close {
		t.Errorf("%q, %v; want an answer that closes the connection", r.body, r.err)
	}
}
