package lbproxy

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// webSocketEcho accepts a WebSocket and sends back what it gets. What ended it goes to ended.
func webSocketEcho(ended chan<- error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		c, err := websocket.Accept(w, r, &websocket.AcceptOptions{InsecureSkipVerify: true})
		if err != nil {
			ended <- err
			return
		}
		defer c.CloseNow()
		for {
			kind, p, err := c.Read(context.Background())
			if err != nil {
				ended <- err
				return
			}
			if err := c.Write(context.Background(), kind, p); err != nil {
				ended <- err
				return
			}
		}
	}
}

func dialWebSocket(t *testing.T, p *proxy) *websocket.Conn {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	c, _, err := websocket.Dial(ctx, "ws://"+p.address+"/", nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.CloseNow() })
	return c
}

func echoOnce(t *testing.T, c *websocket.Conn, s string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := c.Write(ctx, websocket.MessageText, []byte(s)); err != nil {
		t.Fatal(err)
	}
	if _, got, err := c.Read(ctx); err != nil || string(got) != s {
		t.Fatalf("echo of %.20q: %.20q, %v", s, got, err)
	}
}

func TestWebSocket(t *testing.T) {
	ended := make(chan error, 1)
	b := startBackend(t, webSocketEcho(ended))
	p := startProxy(t, upstreams(b.URL))
	c := dialWebSocket(t, p)
	for i := range 100 {
		echoOnce(t, c, fmt.Sprint("message ", i, strings.Repeat(".", i*100)))
	}
	m := runningPools()[0].Snapshot().Members[0]
	if m.Active() != 1 {
		t.Errorf("an open stream counts as %d active requests", m.Active())
	}
	_ = c.Close(websocket.StatusNormalClosure, "bye")
	if err := <-ended; websocket.CloseStatus(err) != websocket.StatusNormalClosure {
		t.Errorf("the backend saw %v", err)
	}
	eventually(t, "release of the backend", func() bool { return m.Active() == 0 })
}

func TestWebSocketEndsWithTheConfiguration(t *testing.T) {
	ended := make(chan error, 1)
	b := startBackend(t, webSocketEcho(ended))
	p := startProxy(t, upstreams(b.URL))
	c := dialWebSocket(t, p)
	echoOnce(t, c, "before")
	p.load(upstreams(b.URL) + `,"verbose_logs":true`)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if _, _, err := c.Read(ctx); websocket.CloseStatus(err) != websocket.StatusGoingAway {
		t.Errorf("the client saw %v, want close code 1001", err)
	}
	if err := <-ended; websocket.CloseStatus(err) != websocket.StatusGoingAway {
		t.Errorf("the backend saw %v, want close code 1001", err)
	}
}

func TestStreamCloseDelay(t *testing.T) {
	ended := make(chan error, 1)
	b := startBackend(t, webSocketEcho(ended))
	p := startProxy(t, upstreams(b.URL)+`,"stream_close_delay":"1h"`)
	c := dialWebSocket(t, p)
	echoOnce(t, c, "before")
	p.load(upstreams(b.URL) + `,"verbose_logs":true`)
	echoOnce(t, c, "after the reload")
	_ = c.Close(websocket.StatusNormalClosure, "")
	if err := <-ended; websocket.CloseStatus(err) != websocket.StatusNormalClosure {
		t.Errorf("the backend saw %v, want close code 1000", err)
	}
}

func TestStreamTimeout(t *testing.T) {
	ended := make(chan error, 1)
	b := startBackend(t, webSocketEcho(ended))
	p := startProxy(t, upstreams(b.URL)+`,"stream_timeout":"30ms"`)
	c := dialWebSocket(t, p)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if _, _, err := c.Read(ctx); err == nil || ctx.Err() != nil {
		t.Errorf("the stream did not end: %v", err)
	}
	if err := <-ended; err == nil {
		t.Error("the backend saw no end")
	}
}

const upgradeRequest = "GET / HTTP/1.1\r\nHost: x\r\nConnection: keep-alive, Upgrade\r\nUpgrade: %s\r\nSec-Websocket-Key: k\r\n\r\n"

func TestUpgradeToAnyProtocolWithHalfClose(t *testing.T) {
	head := make(chan string, 1)
	address := rawBackend(t, func(conn net.Conn, r *bufio.Reader) {
		head <- readHead(t, r)
		_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade, X-Hop\r\nX-Hop: 1\r\nX-Kept: 1\r\nUpgrade: Weather\r\n\r\nhello ")
		all, _ := io.ReadAll(r) // ends with the client's half-close
		fmt.Fprintf(conn, "you said %q", all)
	})
	p := startProxy(t, upstreams(address))
	// What follows the head belongs to the new protocol already.
	conn, r := p.raw(fmt.Sprintf(upgradeRequest, "weather") + "early, ")
	answer := readHead(t, r)
	if !strings.HasPrefix(answer, "HTTP/1.1 101 ") || !strings.Contains(answer, "\r\nUpgrade: weather\r\n") ||
		!strings.Contains(answer, "X-Kept: 1") || strings.Contains(answer, "X-Hop") {
		t.Errorf("answer %q", answer)
	}
	_, _ = io.WriteString(conn, "late")
	if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	rest, err := io.ReadAll(r)
	if want := `hello you said "early, late"`; err != nil || string(rest) != want {
		t.Errorf("got %q, %v, want %q", rest, err, want)
	}
	if h := <-head; !strings.Contains(h, "Upgrade: weather\r\n") || !strings.Contains(h, "Connection: Upgrade\r\n") || !strings.Contains(h, "Sec-WebSocket-Key: k\r\n") {
		t.Errorf("the backend saw %q", h)
	}
}

func TestUpgradeThatNobodyAskedFor(t *testing.T) {
	address := rawBackend(t, func(conn net.Conn, r *bufio.Reader) {
		readHead(t, r)
		_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: other\r\n\r\n")
		_, _ = io.Copy(io.Discard, r)
	})
	p := startProxy(t, upstreams(address))
	_, r := p.raw(fmt.Sprintf(upgradeRequest, "weather"))
	if answer := readHead(t, r); !strings.HasPrefix(answer, "HTTP/1.1 502 ") {
		t.Errorf("answer %q", answer)
	}
}

func TestRefusedUpgrade(t *testing.T) {
	b := startBackend(t, func(w http.ResponseWriter, r *http.Request) { http.Error(w, "no", 403) })
	p := startProxy(t, upstreams(b.URL))
	r := p.get("/", "Connection", "Upgrade", "Upgrade", "websocket")
	if r.status != 403 || r.body != "no\n" {
		t.Errorf("got %d %q", r.status, r.body)
	}
}

// A WebSocket over HTTP/2 (RFC 8441), spoken frame by frame since Go has no client for it. Go's server allows it
// only to a process that was started with a setting, so the test runs itself again with that.
func TestWebSocketOverHTTP2(t *testing.T) {
	const setting = "http2xconnect=1"
	if os.Getenv("GODEBUG") != setting {
		cmd := exec.Command(os.Args[0], "-test.run=^TestWebSocketOverHTTP2$", "-test.v")
		cmd.Env = append(os.Environ(), "GODEBUG="+setting)
		if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "--- PASS: TestWebSocketOverHTTP2") {
			t.Errorf("%v\n%s", err, out)
		}
		return
	}
	ended := make(chan error, 1)
	b := startBackend(t, webSocketEcho(ended))
	p := startProxy(t, upstreams(b.URL)+`,"request_buffers":1000`, serverOptions{server: `"protocols":["h1","h2c"]`})
	conn, r := p.raw(http2.ClientPreface)
	framer := http2.NewFramer(conn, r)
	if err := framer.WriteSettings(); err != nil {
		t.Fatal(err)
	}
	if !allowsExtendedConnect(t, framer) {
		t.Fatal("the server does not allow it")
	}
	var block strings.Builder
	enc := hpack.NewEncoder(&block)
	for _, f := range [][2]string{
		{":method", "CONNECT"}, {":protocol", "websocket"}, {":scheme", "http"}, {":authority", "x"}, {":path", "/"}, {"sec-websocket-version", "13"},
	} {
		_ = enc.WriteField(hpack.HeaderField{Name: f[0], Value: f[1]})
	}
	if err := framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: []byte(block.String()), EndHeaders: true}); err != nil {
		t.Fatal(err)
	}
	// A masked text frame "hi" with an all-zero key, and the unmasked echo.
	if err := framer.WriteData(1, false, []byte{0x81, 0x82, 0, 0, 0, 0, 'h', 'i'}); err != nil {
		t.Fatal(err)
	}
	var got []byte
	for len(got) < 4 {
		f, err := framer.ReadFrame()
		if err != nil {
			t.Fatal(err)
		}
		switch f := f.(type) {
		case *http2.DataFrame:
			got = append(got, f.Data()...)
		case *http2.HeadersFrame:
			fields, err := hpack.NewDecoder(4096, nil).DecodeFull(f.HeaderBlockFragment())
			if err != nil || len(fields) == 0 || fields[0].Value != "200" {
				t.Fatalf("answer %v, %v", fields, err)
			}
			for _, f := range fields {
				if f.Name == "sec-websocket-accept" || f.Name == "upgrade" || f.Name == "connection" {
					t.Errorf("the handshake of HTTP/1.1 shows: %v", f)
				}
			}
		case *http2.RSTStreamFrame:
			t.Fatalf("stream reset: %v", f.ErrCode)
		}
	}
	if string(got) != "\x81\x02hi" {
		t.Errorf("got %q", got)
	}
	conn.Close()
	if err := <-ended; err == nil {
		t.Error("the backend saw no end")
	}
}

func allowsExtendedConnect(t *testing.T, framer *http2.Framer) bool {
	for {
		f, err := framer.ReadFrame()
		if err != nil {
			t.Fatal(err)
		}
		if s, ok := f.(*http2.SettingsFrame); ok && !s.IsAck() {
			v, ok := s.Value(http2.SettingEnableConnectProtocol)
			_ = framer.WriteSettingsAck()
			return ok && v == 1
		}
	}
}

func TestCloseFrame(t *testing.T) {
	if got := string(closeFrame(false)); got != "\x88\x02\x03\xe9" {
		t.Errorf("to a client: %q", got)
	}
	f := closeFrame(true)
	if len(f) != 8 || f[0] != 0x88 || f[1] != 0x82 || f[6]^f[2] != 0x03 || f[7]^f[3] != 0xe9 {
		t.Errorf("to a server: %q", f)
	}
}

func TestStreamsThatComeLate(t *testing.T) {
	s := newStreams(testLogger)
	s.closeAfter(0)
	client, backend := net.Pipe()
	st := &stream{client: &streamEnd{ReadWriteCloser: client}, backend: &streamEnd{ReadWriteCloser: backend}}
	s.add(st)
	done := make(chan error, 1)
	go func() { _, err := backend.Read(make([]byte, 1)); done <- err }()
	select {
	case err := <-done:
		if err == nil {
			t.Error("the backend's side is open")
		}
	case <-time.After(patience):
		t.Error("a stream that began after the end stays open")
	}
	s.remove(st)
}
