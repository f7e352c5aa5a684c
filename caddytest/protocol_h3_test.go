package caddytest

import (
	"bufio"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
)

const overHTTP3 = `{
	skip_install_trust
	auto_https disable_redirects
	grace_period 1s # the packet that closes a client's connection may be lost
}
https://localhost:{$PORT} {
	log
	tls internal
	lb_proxy {$A}
}
`

// dialHTTP3 connects to the site on {$PORT}, or to what stands before it at another address.
func (s *Server) dialHTTP3(t *testing.T, at string, config *tls.Config) *quic.Conn {
	t.Helper()
	if at == "" {
		at = "localhost:" + s.vars["PORT"]
	}
	conn, err := quic.DialAddrEarly(within(t), at, config, &quic.Config{EnableDatagrams: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.CloseWithError(0, "") })
	return conn
}

// h3Config is for clients that take part in HTTP/3 with the site.
func (s *Server) h3Config() *tls.Config {
	return &tls.Config{RootCAs: s.roots(), ServerName: "localhost", NextProtos: []string{http3.NextProtoH3}}
}

// startHTTP3 runs a server with one site, and returns when it has its certificate.
func startHTTP3(t *testing.T, backend string) *Server {
	t.Helper()
	s := Start(t, overHTTP3, map[string]string{"A": backend})
	config := s.h3Config()
	eventually(t, "the certificate is there", func() bool {
		conn, err := tls.Dial("tcp", "localhost:"+s.vars["PORT"], &tls.Config{RootCAs: config.RootCAs})
		if err == nil {
			conn.Close()
		}
		return err == nil
	})
	return s
}

// A WebSocket over HTTP/3 (RFC 9220) becomes one over HTTP/1.1 for the backend.
func TestWebSocketOverHTTP3(t *testing.T) {
	head := make(chan http.Header, 1)
	ended := make(chan string, 1)
	b := NewBackend(t, "A")
	b.Do(func(w http.ResponseWriter, r *http.Request) {
		head <- r.Header.Clone()
		w.Header().Set("Upgrade", "websocket")
		w.Header().Set("Connection", "Upgrade")
		w.Header().Set("Sec-Websocket-Accept", "key")
		w.WriteHeader(http.StatusSwitchingProtocols)
		conn, in, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		first := make([]byte, 5)
		_, _ = io.ReadFull(in, first)
		_, _ = io.WriteString(conn, "got "+string(first))
		rest, _ := io.ReadAll(in)
		ended <- string(rest)
	})
	s := startHTTP3(t, b.Addr)
	client := new(http3.Transport).NewClientConn(s.dialHTTP3(t, "", s.h3Config()))
	stream, err := client.OpenRequestStream(within(t))
	if err != nil {
		t.Fatal(err)
	}
	req := newRequest(t, http.MethodConnect, "https://localhost:"+s.vars["PORT"]+"/chat", "", "Sec-Websocket-Version", "13")
	req.Proto, req.Body, req.ContentLength = "websocket", nil, 0
	if err := stream.SendRequestHeader(req); err != nil {
		t.Fatal(err)
	}
	resp, err := stream.ReadResponse()
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != http.StatusOK || resp.Header.Get("Sec-Websocket-Accept")+resp.Header.Get("Upgrade") != "" {
		t.Errorf("answered %s %v", resp.Status, resp.Header)
	}
	_, _ = io.WriteString(stream, "hello")
	got := make([]byte, len("got hello"))
	if _, err := io.ReadFull(stream, got); err != nil || string(got) != "got hello" {
		t.Errorf("the stream came back as %q, %v", got, err)
	}
	_, _ = io.WriteString(stream, "bye")
	_ = stream.Close()
	if rest := <-ended; rest != "bye" {
		t.Errorf("the backend's stream ended with %q", rest)
	}
	h := <-head
	if h.Get("Upgrade") != "websocket" || h.Get("Sec-Websocket-Key") == "" || h.Get("Sec-Websocket-Version") != "13" {
		t.Errorf("the backend was asked with %v", h)
	}
}

// A request that came in TLS early data says so to the backend (RFC 8470). Nothing of the server's reaches the client
// until the request is with the backend, so that it cannot have waited for the handshake.
func TestEarlyData(t *testing.T) {
	b := NewBackend(t, "A")
	seen := make(chan string, 1)
	b.Do(func(w http.ResponseWriter, r *http.Request) { seen <- strings.Join(r.Header["Early-Data"], ",") })
	s := startHTTP3(t, b.Addr)
	config := s.h3Config()
	sessions := &sessionCache{ClientSessionCache: tls.NewLRUClientSessionCache(1), stored: make(chan struct{}, 16)}
	config.ClientSessionCache = sessions
	get := func(conn *quic.Conn, method string) {
		t.Helper()
		req := newRequest(t, method, "https://localhost:"+s.vars["PORT"]+"/", "")
		req.Body, req.ContentLength = nil, 0
		resp, err := new(http3.Transport).NewClientConn(conn).RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			t.Errorf("status %d", resp.StatusCode)
		}
	}
	first := s.dialHTTP3(t, "", config)
	get(first, http.MethodGet)
	if early := <-seen; early != "" {
		t.Errorf("a request after the handshake has Early-Data: %s", early)
	}
	select {
	case <-sessions.stored:
	case <-within(t).Done():
		t.Fatal("there is no session to resume")
	}

	relay := newHoldingRelay(t, "localhost:"+s.vars["PORT"])
	early := make(chan string, 1)
	go func() {
		early <- <-seen
		relay.release()
	}()
	conn := s.dialHTTP3(t, relay.addr(), config)
	get(conn, http3.MethodGet0RTT)
	if got := <-early; got != "1" {
		t.Errorf("a request in early data has Early-Data: %q, want 1", got)
	}
	if !conn.ConnectionState().Used0RTT {
		t.Error("the server took no early data")
	}
}

// sessionCache tells when a session was stored.
type sessionCache struct {
	tls.ClientSessionCache
	stored chan struct{}
}

func (c *sessionCache) Put(key string, cs *tls.ClientSessionState) {
	c.ClientSessionCache.Put(key, cs)
	if cs != nil {
		c.stored <- struct{}{}
	}
}

// holdingRelay passes a client's packets on to a server, and what comes back once it is released.
type holdingRelay struct {
	front, back net.PacketConn
	open        chan struct{}
	release     func()
}

func newHoldingRelay(t *testing.T, server string) *holdingRelay {
	t.Helper()
	to, err := net.ResolveUDPAddr("udp", server)
	if err != nil {
		t.Fatal(err)
	}
	listen := func() net.PacketConn {
		conn, err := new(net.ListenConfig).ListenPacket(t.Context(), "udp", net.JoinHostPort(to.IP.String(), "0"))
		if err != nil {
			t.Fatal(err)
		}
		return conn
	}
	r := &holdingRelay{front: listen(), back: listen(), open: make(chan struct{})}
	r.release = sync.OnceFunc(func() { close(r.open) })
	var wg sync.WaitGroup
	var client net.Addr
	known := make(chan struct{})
	wg.Go(func() {
		learn := sync.OnceFunc(func() { close(known) })
		relayPackets(r.front, func(p []byte, from net.Addr) {
			if client == nil {
				client = from
			}
			learn()
			_, _ = r.back.WriteTo(p, to)
		})
	})
	wg.Go(func() {
		relayPackets(r.back, func(p []byte, _ net.Addr) {
			<-known
			<-r.open
			_, _ = r.front.WriteTo(p, client)
		})
	})
	t.Cleanup(func() {
		r.release()
		r.front.Close()
		r.back.Close()
		wg.Wait()
	})
	return r
}

// addr is where clients send to.
func (r *holdingRelay) addr() string { return r.front.LocalAddr().String() }

func relayPackets(from net.PacketConn, pass func(p []byte, from net.Addr)) {
	buf := make([]byte, 64<<10)
	for {
		n, addr, err := from.ReadFrom(buf)
		if err != nil {
			return
		}
		pass(buf[:n], addr)
	}
}

// Over HTTP/1 and HTTP/2 the server answers "OPTIONS *" itself.
func TestAsteriskFormOverHTTP3(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	lines := make(chan string, 1)
	go func() {
		conn, err := ln.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		in := bufio.NewReader(conn)
		line, _ := in.ReadString('\n')
		lines <- line
		for line != "\r\n" && err == nil {
			line, err = in.ReadString('\n')
		}
		_, _ = io.WriteString(conn, "HTTP/1.1 204 No Content\r\n\r\n")
	}()
	s := startHTTP3(t, ln.Addr().String())
	req := newRequest(t, http.MethodOptions, "https://localhost:"+s.vars["PORT"], "")
	req.URL.Path, req.Body, req.ContentLength = "*", nil, 0
	resp, err := new(http3.Transport).NewClientConn(s.dialHTTP3(t, "", s.h3Config())).RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusNoContent {
		t.Fatalf("answered %s", resp.Status)
	}
	if line := <-lines; line != "OPTIONS * HTTP/1.1\r\n" {
		t.Errorf("the backend was asked %q", line)
	}
}
