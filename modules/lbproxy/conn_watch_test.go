package lbproxy

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"
)

// noBody stands for a client that says how long its body is, and sends none of it.
const noBody = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n"

// A try ends by its time limit although the client sends nothing, however the module connects.
func TestStalledBodyEndsWithTheTryByModule(t *testing.T) {
	for name, transport := range map[string]string{
		"TCP":                `"compression":true`,
		"a read timeout":     `"compression":true,"read_timeout":"1m"`,
		"TLS":                `"compression":true,"tls":{"insecure_skip_verify":true}`,
		"TLS, HTTP/1.1":      `"compression":true,"versions":["1.1"],"tls":{"insecure_skip_verify":true}`,
		"TLS by name":        `"compression":true,"tls":{"insecure_skip_verify":true,"server_name":"{http.request.host}.test"}`,
		"TLS by name, HTTP2": `"compression":true,"versions":["1.1","2"],"tls":{"insecure_skip_verify":true,"server_name":"{http.request.host}.test"}`,
	} {
		t.Run(name, func(t *testing.T) {
			protocols := make(chan string, 10)
			s := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				protocols <- r.Proto
				_, _ = io.Copy(io.Discard, r.Body)
				<-r.Context().Done()
			}))
			s.EnableHTTP2 = strings.HasSuffix(name, "HTTP2")
			if strings.Contains(name, "TLS") {
				s.StartTLS()
			} else {
				s.Start()
			}
			t.Cleanup(s.Close)
			p := startProxy(t, upstreams(s.Listener.Addr().String())+balancing(`"try_timeout":"200ms"`)+`,"transport":{"protocol":"http",`+transport+`}`)
			if status := sends(noBody)(t, p); status != http.StatusRequestTimeout {
				t.Errorf("status %d", status)
			}
			if proto := <-protocols; (proto == "HTTP/2.0") != s.EnableHTTP2 {
				t.Errorf("the backend is spoken to in %s", proto)
			}
		})
	}
}

// Where the client's stream is read for this try alone the read is cut off, and the client is still
// known to have been waited for.
func TestStalledStreamEndsWithTheConnection(t *testing.T) {
	impatient := rawBackend(t, func(_ net.Conn, r *bufio.Reader) {
		readHead(t, r)
		time.Sleep(unlessSlow + 200*time.Millisecond)
	})
	p := startProxy(t, upstreams(impatient)+`,`+byModule, h2cToo)
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	client := http.Client{Transport: &http.Transport{Protocols: protocols}, Timeout: patience}
	defer client.CloseIdleConnections()
	body, w := io.Pipe()
	defer w.Close()
	req, err := http.NewRequest(http.MethodPost, p.url("/"), body)
	if err != nil {
		t.Fatal(err)
	}
	req.ContentLength = 9
	res, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	if res.StatusCode != http.StatusRequestTimeout {
		t.Errorf("status %d", res.StatusCode)
	}
}

// A read that is held off until the backend asks for the body ends with the connection, too.
func TestUnaskedBodyEndsWithTheConnection(t *testing.T) {
	cut := rawBackend(t, func(conn net.Conn, r *bufio.Reader) {
		readHead(t, r)
		_, _ = io.WriteString(conn, "HTTP/1.1 200")
		time.Sleep(300 * time.Millisecond) // until the transport gives up waiting
	})
	p := startProxy(t, upstreams(cut)+`,"transport":{"protocol":"http","compression":true,"expect_continue_timeout":"50ms"}`)
	if status := sends(expecting)(t, p); status != http.StatusBadGateway {
		t.Errorf("status %d", status)
	}
}

// A transport may send a body over another connection when the first was closed before it was
// read.
func TestBodyGoesOverAnotherConnection(t *testing.T) {
	s := newClientStream()
	b := newRequestBody(s, new(http.Request), s, keepBytes)
	defer b.release(atOnce)
	sent := sentBody{reader: b.readerApart(nil)}
	connect := func() *watchedConn {
		near, far := net.Pipe()
		t.Cleanup(func() { far.Close() })
		c := &watchedConn{Conn: near}
		sent.reader.sendOver(c)
		c.carry(sent)
		return c
	}
	connect().Close()
	second := connect()
	read := s.blockedRead(t, sent.reader)
	_ = second.SetReadDeadline(time.Now())
	if _, err := second.Read(make([]byte, 1)); err == nil {
		t.Error("the connection can be read")
	}
	second.Close()
	if err := endOf(t, read); !errors.Is(err, errDisconnected) || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the reader got %v", err)
	}
	if !b.reclaim() {
		t.Error("the body is lost")
	}
}
