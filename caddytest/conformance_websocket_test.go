package caddytest

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/coder/websocket"
)

// maxMessage is what both ends take.
const maxMessage = 4 << 20

// socketBackend has each WebSocket connection served by f, which may leave the closing to the client.
func socketBackend(t *testing.T, f func(ctx context.Context, c *websocket.Conn) error) *Backend {
	t.Helper()
	b := NewBackend(t, "A")
	b.Do(func(w http.ResponseWriter, r *http.Request) {
		c, err := websocket.Accept(w, r, nil)
		if err != nil {
			return // Accept has answered
		}
		defer c.CloseNow()
		c.SetReadLimit(maxMessage)
		if err := f(r.Context(), c); err != nil && websocket.CloseStatus(err) == -1 {
			t.Errorf("the backend's end: %v", err)
		}
	})
	return b
}

// echoMessages sends every message back until the connection ends.
func echoMessages(ctx context.Context, c *websocket.Conn) error {
	for {
		kind, message, err := c.Read(ctx)
		if err != nil {
			return err
		}
		if err := c.Write(ctx, kind, message); err != nil {
			return err
		}
	}
}

// dialSocket opens a WebSocket through the server.
func dialSocket(t *testing.T, s *Server) *websocket.Conn {
	t.Helper()
	c, _, err := websocket.Dial(t.Context(), s.URL("PORT", "/socket"), &websocket.DialOptions{HTTPClient: s.Client})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.CloseNow() })
	c.SetReadLimit(maxMessage)
	return c
}

// within bounds an exchange so that one that hangs fails.
func within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience())
	t.Cleanup(cancel)
	return ctx
}

func TestWebSocketMessages(t *testing.T) {
	large := make([]byte, 1<<20)
	_, _ = rand.Read(large)
	s := Start(t, plain, addresses(socketBackend(t, echoMessages)))
	c := dialSocket(t, s)
	ctx := within(t)
	for _, m := range []struct {
		name string
		kind websocket.MessageType
		data []byte
	}{
		{"text", websocket.MessageText, []byte("grüße, 世界")},
		{"empty text", websocket.MessageText, []byte{}},
		{"binary", websocket.MessageBinary, []byte{0, 0xff, 0x80, '\n', 0}},
		{"1 MiB of binary", websocket.MessageBinary, large},
		{"1 MiB of text", websocket.MessageText, bytes.Repeat([]byte("0123456789abcdef"), 1<<16)},
	} {
		if err := c.Write(ctx, m.kind, m.data); err != nil {
			t.Fatalf("%s: %v", m.name, err)
		}
		kind, data, err := c.Read(ctx)
		if err != nil {
			t.Fatalf("%s: %v", m.name, err)
		}
		if kind != m.kind || !bytes.Equal(data, m.data) {
			t.Errorf("%s came back as %v of %d bytes, want %v of %d", m.name, kind, len(data), m.kind, len(m.data))
		}
	}
	if err := c.Close(websocket.StatusNormalClosure, ""); err != nil {
		t.Errorf("closing: %v", err)
	}
}

// A message in many fragments with pings between them arrives whole, and the pings are answered by the other end.
func TestWebSocketFragmentsAndPings(t *testing.T) {
	var pings atomic.Int64
	b := NewBackend(t, "A")
	b.Do(func(w http.ResponseWriter, r *http.Request) {
		c, err := websocket.Accept(w, r, &websocket.AcceptOptions{
			OnPingReceived: func(context.Context, []byte) bool { pings.Add(1); return true },
		})
		if err != nil {
			return
		}
		defer c.CloseNow()
		_ = echoMessages(r.Context(), c)
	})
	s := Start(t, plain, addresses(b))
	c := dialSocket(t, s)
	ctx := within(t)
	received := make(chan string, 1)
	go func() {
		// Pongs are only taken in while something is read.
		_, message, err := c.Read(ctx)
		if err != nil {
			t.Error(err)
		}
		received <- string(message)
	}()
	w, err := c.Writer(ctx, websocket.MessageText)
	if err != nil {
		t.Fatal(err)
	}
	var want strings.Builder
	for i := range 20 {
		part := fmt.Sprintf("part %d, ", i)
		want.WriteString(part)
		if _, err := io.WriteString(w, part); err != nil {
			t.Fatal(err)
		}
		if err := c.Ping(ctx); err != nil {
			t.Fatalf("ping %d: %v", i, err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if got := <-received; got != want.String() {
		t.Errorf("the fragments came back as %q, want %q", got, want.String())
	}
	if n := pings.Load(); n != 20 {
		t.Errorf("%d pings arrived, want 20", n)
	}
}

func TestWebSocketCloseCodes(t *testing.T) {
	closed := make(chan error, 1)
	s := Start(t, plain, addresses(socketBackend(t, func(ctx context.Context, c *websocket.Conn) error {
		_, message, err := c.Read(ctx)
		if err == nil && string(message) == "you" {
			return c.Close(4002, "the backend's reason")
		}
		closed <- err
		return nil
	})))
	ctx := within(t)

	byClient := dialSocket(t, s)
	if err := byClient.Close(4001, "the client's reason"); err != nil {
		t.Errorf("closing by the client: %v", err)
	}
	expectClose(t, <-closed, 4001, "the client's reason")

	byBackend := dialSocket(t, s)
	if err := byBackend.Write(ctx, websocket.MessageText, []byte("you")); err != nil {
		t.Fatal(err)
	}
	_, _, err := byBackend.Read(ctx)
	expectClose(t, err, 4002, "the backend's reason")

	// Without a closing handshake the other end sees the connection end.
	gone := dialSocket(t, s)
	gone.CloseNow()
	if err := <-closed; websocket.CloseStatus(err) != -1 || err == nil {
		t.Errorf("a connection that broke off ended with %v", err)
	}
}

func expectClose(t *testing.T, err error, code websocket.StatusCode, reason string) {
	t.Helper()
	var ce websocket.CloseError
	if !errors.As(err, &ce) || ce.Code != code || ce.Reason != reason {
		t.Errorf("the connection was closed with %v, want %d %q", err, code, reason)
	}
}

// The end of one direction is passed on while the other goes on.
func TestWebSocketHalfClose(t *testing.T) {
	b := NewBackend(t, "A")
	b.Do(func(w http.ResponseWriter, r *http.Request) {
		conn, buffered, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
		sent, err := io.ReadAll(buffered) // until the client has ended its direction
		_, _ = fmt.Fprintf(conn, "after the end: %s, %v", sent, err)
	})
	s := Start(t, plain, addresses(b))
	conn, in := s.raw("GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: key\r\n\r\n")
	resp, err := http.ReadResponse(in, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if _, err := io.WriteString(conn, "all of it"); err != nil {
		t.Fatal(err)
	}
	if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(in)
	if want := "after the end: all of it, <nil>"; string(got) != want || err != nil {
		t.Errorf("got %q, %v, want %q", got, err, want)
	}
}

// All connections are open at once, and none sees the messages of another.
func TestWebSocketsAtOnce(t *testing.T) {
	n := 1000
	if raceEnabled {
		n = 200
	}
	s := Start(t, plain, addresses(socketBackend(t, echoMessages)))
	ctx, cancel := context.WithTimeout(t.Context(), 4*patience())
	defer cancel()
	var opened, done sync.WaitGroup
	opened.Add(n)
	for i := range n {
		done.Go(func() {
			c, _, err := websocket.Dial(ctx, s.URL("PORT", "/socket"), nil)
			opened.Done()
			if err != nil {
				t.Errorf("connection %d: %v", i, err)
				return
			}
			defer c.CloseNow()
			opened.Wait()
			for round := range 3 {
				want := fmt.Sprintf("message %d of connection %d", round, i)
				if err := c.Write(ctx, websocket.MessageText, []byte(want)); err != nil {
					t.Errorf("connection %d: %v", i, err)
					return
				}
				if _, got, err := c.Read(ctx); err != nil || string(got) != want {
					t.Errorf("connection %d got %q, %v, want %q", i, got, err, want)
					return
				}
			}
			if err := c.Close(websocket.StatusNormalClosure, ""); err != nil {
				t.Errorf("connection %d: closing: %v", i, err)
			}
		})
	}
	done.Wait()
}
