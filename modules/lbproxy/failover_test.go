package lbproxy

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
)

func TestConnectFailureIsAlwaysTriedElsewhere(t *testing.T) {
	b := startBackend(t, func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(w, r.Body) })
	p := startProxy(t, upstreams(deadAddress(t), b.URL, deadAddress(t), deadAddress(t)))
	for i := range 12 {
		if r := p.get("/"); r.status != 200 {
			t.Fatalf("GET %d: %d", i, r.status)
		}
		body := fmt.Sprint("body ", i)
		if r := p.send("POST", "/", strings.NewReader(body)); r.status != 200 || r.body != body {
			t.Fatalf("POST %d: %d %q", i, r.status, r.body)
		}
	}
	if b.count() != 24 {
		t.Errorf("the living backend got %d requests, want 24", b.count())
	}
}

func TestEveryDeadBackendIsTriedOnce(t *testing.T) {
	var accepts [3]atomic.Int32
	var addresses []string
	for i := range accepts {
		// A listener that does no TLS: the handshake fails before a byte of the request is sent.
		addresses = append(addresses, rawBackend(t, func(net.Conn, *bufio.Reader) { accepts[i].Add(1) }))
	}
	p := startProxy(t, upstreams(addresses...)+`,"transport":{"protocol":"http","tls":{"insecure_skip_verify":true}}`)
	r := p.send("POST", "/", strings.NewReader("x"))
	if r.status != 502 {
		t.Errorf("status %d, want 502", r.status)
	}
	for i := range accepts {
		if n := accepts[i].Load(); n != 1 {
			t.Errorf("backend %d was tried %d times", i, n)
		}
	}
}

func TestNoBackendAvailable(t *testing.T) {
	release := make(chan struct{})
	arrived := make(chan struct{}, 1)
	b := startBackend(t, func(http.ResponseWriter, *http.Request) { arrived <- struct{}{}; <-release })
	p := startProxy(t, fmt.Sprintf(`"upstreams":[{"dial":%q,"max_requests":1},{"dial":%q,"weight":0}]`, b.Listener.Addr(), deadAddress(t)), serverOptions{log: `"level":"DEBUG"`})
	var wg sync.WaitGroup
	wg.Go(func() { p.get("/first") })
	<-arrived
	r := p.get("/second")
	close(release)
	wg.Wait()
	if r.status != 503 {
		t.Errorf("status %d, want 503", r.status)
	}
	logLine(t, "request refused", `"status":503`, "of 2, 0 down, 1 drained, 1 full, 0 tried")
}

func TestErrorPlaceholders(t *testing.T) {
	p := startProxy(t, upstreams(deadAddress(t)), serverOptions{
		server: `"errors":{"routes":[{"handle":[{"handler":"static_response","status_code":"{http.error.status_code}","body":"{http.error.message}"}]}]}`,
	})
	r := p.get("/")
	if r.status != 502 || !strings.Contains(r.body, "connection refused") {
		t.Errorf("got %d %q", r.status, r.body)
	}
}

func TestTimeoutIs504(t *testing.T) {
	p := startProxy(t, upstreams(rawBackend(t, func(_ net.Conn, r *bufio.Reader) { _, _ = io.Copy(io.Discard, r) }))+
		`,"transport":{"protocol":"http","response_header_timeout":"20ms"}`)
	if r := p.get("/"); r.status != 504 {
		t.Errorf("status %d, want 504", r.status)
	}
}

func TestBadAnswerIs502(t *testing.T) {
	for _, answer := range []string{
		"", "SSH-2.0-OpenSSH\r\n\r\n", "HTTP/1.1 two hundred\r\n\r\n", "HTTP/1.1 200 OK\r\nbad header\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, gzip\r\n\r\n",
	} {
		address := rawBackend(t, func(conn net.Conn, r *bufio.Reader) {
			readHead(t, r)
			_, _ = io.WriteString(conn, answer)
		})
		p := startProxy(t, upstreams(address))
		if r := p.get("/"); r.status != 502 {
			t.Errorf("%q: status %d, want 502", answer, r.status)
		}
		_ = caddy.Stop()
	}
}

func TestClientGone(t *testing.T) {
	arrived := make(chan struct{})
	gone := make(chan struct{})
	b := startBackend(t, func(_ http.ResponseWriter, r *http.Request) {
		close(arrived)
		<-r.Context().Done()
		close(gone)
	})
	passive := `,"health_checks":{"passive":{"fail_duration":"1m"}}`
	p := startProxy(t, upstreams(b.URL)+passive)
	ctx, cancel := context.WithCancel(context.Background())
	req, _ := http.NewRequestWithContext(ctx, "GET", p.url("/left"), nil)
	done := make(chan struct{})
	go func() {
		defer close(done)
		if res, err := p.client.Do(req); err == nil {
			res.Body.Close()
		}
	}()
	<-arrived
	cancel()
	select {
	case <-gone:
	case <-time.After(patience):
		t.Fatal("the backend's request was not canceled")
	}
	<-done
	logLine(t, "/left", `"status":499`)
	m := runningPools()[0].Snapshot().Members[0]
	if n := recentFails(m); n != 0 {
		t.Errorf("the client's leaving counted as %d failures", n)
	}
	eventually(t, "release of the backend", func() bool { return m.Active() == 0 })
}

// triesOf counts the tries given to the first backend of a pool, over reloads.
func triesOf(p *pool) func() uint64 {
	return (*p.entries.Load())[p.Snapshot().Members[0].Backend].stats.requests
}

func TestWaitingEndsWithTheClient(t *testing.T) {
	p := startProxy(t, upstreams(deadAddress(t))+`,"load_balancing":{"try_duration":"1h","try_interval":"1h"}`)
	ctx, cancel := context.WithCancel(context.Background())
	req, _ := http.NewRequestWithContext(ctx, "GET", p.url("/impatient"), nil)
	done := make(chan struct{})
	go func() {
		defer close(done)
		if res, err := p.client.Do(req); err == nil {
			res.Body.Close()
		}
	}()
	tries := triesOf(runningPools()[0])
	eventually(t, "first try", func() bool { return tries() == 1 })
	cancel()
	<-done
	logLine(t, "/impatient", `"status":499`)
}

func TestWaitingSurvivesAReload(t *testing.T) {
	address := freeAddress(t)
	handler := upstreams(address) + `,"load_balancing":{"try_duration":"1m","try_interval":"10ms"}`
	p := startProxy(t, handler)
	got := make(chan reply, 1)
	go func() { got <- p.get("/") }()
	tries := triesOf(runningPools()[0])
	eventually(t, "first try", func() bool { return tries() > 0 })
	reloaded := make(chan error, 1)
	go func() { reloaded <- p.tryLoad(handler + `,"verbose_logs":true`) }()
	before := tries()
	eventually(t, "further tries", func() bool { return tries() > before+2 })

	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: text("here now")}
	go func() { _ = server.Serve(l) }()
	defer server.Close()
	if r := <-got; r.status != 200 || r.body != "here now" {
		t.Errorf("got %d %q", r.status, r.body)
	}
	if err := <-reloaded; err != nil {
		t.Error(err)
	}
}
