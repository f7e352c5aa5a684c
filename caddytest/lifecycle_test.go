package caddytest

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"
)

const plain = `{
	skip_install_trust
}
http://127.0.0.1:{$PORT} {
	lb_proxy {$A}
}
`

func TestTerminationLetsARequestFinish(t *testing.T) {
	b := NewBackends(t, "A")
	s := Start(t, plain, addresses(b...))
	release := make(chan struct{})
	b[0].Do(hang(release))
	answered := s.inBackground(s.URL("PORT", "/"))
	eventually(t, "the request is with the backend", func() bool { return b[0].Hits() == 1 })

	s.Signal(syscall.SIGTERM)
	eventually(t, "the server takes no new connections", func() bool {
		c, err := net.Dial("tcp", "127.0.0.1:"+s.vars["PORT"])
		if err != nil {
			return true
		}
		c.Close()
		return false
	})
	close(release)
	if r := <-answered; r.Status != http.StatusOK || r.Body != "A" {
		t.Errorf("the request under way ended with status %d and %q", r.Status, r.Body)
	}
	if err := s.Stop(); err != nil {
		t.Error(err)
	}
}

func TestReloadLetsARequestFinish(t *testing.T) {
	b := NewBackends(t, "A", "B")
	s := Start(t, plain, addresses(b...))
	release := make(chan struct{})
	b[0].Do(hang(release))
	answered := s.inBackground(s.URL("PORT", "/"))
	eventually(t, "the request is with the backend", func() bool { return b[0].Hits() == 1 })

	// The backend is not part of the new configuration any more.
	s.mustReload(strings.Replace(plain, "{$A}", "{$B}", 1))
	if r := s.Get(s.URL("PORT", "/")); r.Backend() != "B" {
		t.Errorf("after the reload %q answers, want B", r.Backend())
	}
	close(release)
	if r := <-answered; r.Status != http.StatusOK || r.Body != "A" {
		t.Errorf("the request under way ended with status %d and %q", r.Status, r.Body)
	}
}

// echo switches protocols and sends back what it is sent, until the client ends its side.
func echo(w http.ResponseWriter, r *http.Request) {
	conn, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	defer conn.Close()
	_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: "+
		r.Header.Get("Upgrade")+"\r\nSec-WebSocket-Accept: for-"+r.Header.Get("Sec-WebSocket-Key")+"\r\n\r\n")
	_, _ = io.Copy(conn, buffered)
}

func TestWebSocketThroughTheServer(t *testing.T) {
	b := NewBackends(t, "A")
	b[0].Do(echo)
	s := Start(t, plain, addresses(b...))
	conn, err := net.Dial("tcp", "127.0.0.1:"+s.vars["PORT"])
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(patience())); err != nil {
		t.Fatal(err)
	}
	// The first bytes of the stream travel with the request.
	_, err = io.WriteString(conn, "GET /chat HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: key\r\n\r\nhello ")
	if err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(conn)
	resp, err := http.ReadResponse(r, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusSwitchingProtocols || resp.Header.Get("Upgrade") != "websocket" ||
		resp.Header.Get("Sec-Websocket-Accept") != "for-key" {
		t.Fatalf("the upgrade was answered %s %v", resp.Status, resp.Header)
	}
	if _, err := io.WriteString(conn, "world"); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, len("hello world"))
	if _, err := io.ReadFull(r, got); err != nil || string(got) != "hello world" {
		t.Errorf("the stream came back as %q, %v", got, err)
	}
	if n := s.metric("caddy_lb_backend_active_requests", "pool", "127.0.0.1:"+s.vars["PORT"], "backend", b[0].Addr); n != 1 {
		t.Errorf("%v requests are under way while the stream is open, want 1", n)
	}
	conn.Close()
	eventually(t, "the stream's place is given back", func() bool {
		return s.metric("caddy_lb_backend_active_requests", "pool", "127.0.0.1:"+s.vars["PORT"], "backend", b[0].Addr) == 0
	})
}

func TestHTTPSWithTheInternalCA(t *testing.T) {
	b := NewBackends(t, "A")
	s := Start(t, `{
	skip_install_trust
	auto_https disable_redirects
}
https://localhost:{$PORT} {
	tls internal
	lb_proxy {$A}
}
`, addresses(b...))
	var ca struct {
		Root string `json:"root_certificate"`
	}
	r := s.Admin(http.MethodGet, "/pki/ca/local", "")
	if err := json.Unmarshal([]byte(r.Body), &ca); err != nil {
		t.Fatalf("%v: %s", err, r.Body)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM([]byte(ca.Root)) {
		t.Fatalf("no certificate in %s", r.Body)
	}
	tr := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, ForceAttemptHTTP2: true}
	defer tr.CloseIdleConnections()
	req := newRequest(t, http.MethodGet, "https://localhost:"+s.vars["PORT"]+"/", "")
	var reply Reply
	eventually(t, "the certificate is there", func() bool {
		var err error
		reply, err = fetch(&http.Client{Transport: tr}, req)
		return err == nil
	})
	if reply.Status != http.StatusOK || reply.Backend() != "A" {
		t.Errorf("status %d from %q, want 200 from A", reply.Status, reply.Backend())
	}
}
