package lbproxy

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
)

// copiesUpgrade is header_up as somebody writes it who knows it from other proxies.
const copiesUpgrade = `,"headers":{"request":{"set":{"Connection":["{http.request.header.Connection}"],
	"Upgrade":["{http.request.header.Upgrade}"],"Http2-Settings":["{http.request.header.HTTP2-Settings}"]}}}`

// Other versions of HTTP are for the proxy to agree to, and must not be asked of a backend.
func TestUpgradesOfHTTPAreNotPassedOn(t *testing.T) {
	b := startBackend(t, echoHeader)
	for _, handler := range []string{"", copiesUpgrade} {
		p := startProxy(t, upstreams(b.URL)+handler)
		for _, tc := range []struct{ fields, upgrade string }{
			{"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n", ""},
			{"Connection: Upgrade\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n", ""},
			{"Connection: Upgrade\r\nUpgrade: H2C\r\n", ""},
			{"Connection: Upgrade\r\nUpgrade: h2c, websocket\r\n", "websocket"},
			{"Connection: Upgrade\r\nUpgrade: TLS/1.2\r\nUpgrade: HTTP/2.0\r\n", ""},
			{"Connection: Upgrade\r\nUpgrade: WebSocket\r\n", "websocket"},
			{"HTTP2-Settings: AAMAAABk\r\n", ""},
		} {
			for _, version := range []string{"HTTP/1.1", "HTTP/1.0"} {
				_, r := p.raw("GET / " + version + "\r\nHost: x\r\n" + tc.fields + "\r\n")
				res, err := http.ReadResponse(r, nil)
				if err != nil {
					t.Fatal(err)
				}
				body, _ := io.ReadAll(res.Body)
				res.Body.Close()
				h, want := seenHeader(t, reply{status: res.StatusCode, body: string(body)}), tc.upgrade
				if version == "HTTP/1.0" {
					want = ""
				}
				if got := h.Get("Upgrade"); got != want || h.Get("Http2-Settings") != "" || want == "" && h.Get("Connection") == "Upgrade" {
					t.Errorf("%s, %q: the backend saw Upgrade %q, Connection %q, HTTP2-Settings %q",
						version, tc.fields, got, h["Connection"], h["Http2-Settings"])
				}
			}
		}
	}
}

// switching is a backend that answers with 101 whatever it is asked, and counts what follows.
func switching(t *testing.T, upgrade string) (address string, smuggled *atomic.Int64) {
	smuggled = new(atomic.Int64)
	return rawBackend(t, func(conn net.Conn, r *bufio.Reader) {
		readHead(t, r)
		fmt.Fprintf(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: %s\r\n\r\n", upgrade)
		n, _ := io.Copy(io.Discard, r)
		smuggled.Add(n)
	}), smuggled
}

// A switch that the client did not ask for is an error, and nothing that follows reaches the
// backend unseen.
func TestSwitchesThatWereNotAskedFor(t *testing.T) {
	for _, tc := range []struct{ request, answer string }{
		{"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n", "h2c"},
		{"Connection: Upgrade\r\nUpgrade: h2c, websocket\r\n", "h2c"},
		{"Connection: Upgrade\r\nUpgrade: websocket\r\n", "h2c, websocket"},
		{"Connection: Upgrade\r\nUpgrade: weather\r\n", "websocket"},
		{"Upgrade: websocket\r\n", "websocket"},
		{"", "websocket"},
	} {
		for _, handler := range []string{"", copiesUpgrade} {
			address, smuggled := switching(t, tc.answer)
			p := startProxy(t, upstreams(address)+handler, serverOptions{before: `{"handler":"subroute","routes":[
				{"match":[{"path":["/own"]}],"handle":[{"handler":"static_response","status_code":204}]}]}`})
			_, r := p.raw("GET / HTTP/1.1\r\nHost: x\r\n" + tc.request + "\r\nGET /own HTTP/1.1\r\nHost: x\r\n\r\n")
			for _, want := range []string{"HTTP/1.1 502 ", "HTTP/1.1 204 "} {
				if head := readHead(t, r); !strings.HasPrefix(head, want) {
					t.Errorf("%q, answered %q: got %q, want %s", tc.request, tc.answer, head, want)
				}
			}
			if n := smuggled.Load(); n > 0 {
				t.Errorf("%q, answered %q: %d bytes went on unseen", tc.request, tc.answer, n)
			}
		}
	}
}

func TestSwitchToOneOfSeveralProtocols(t *testing.T) {
	for _, handler := range []string{"", copiesUpgrade, `,"response_buffers":-1`} {
		address := rawBackend(t, func(conn net.Conn, r *bufio.Reader) {
			if head := readHead(t, r); !strings.Contains(head, "Upgrade: weather, websocket\r\n") {
				t.Errorf("the backend saw %q", head)
			}
			_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: WebSocket\r\n\r\n")
			_, _ = io.Copy(conn, r)
		})
		p := startProxy(t, upstreams(address)+handler)
		conn, r := p.raw(fmt.Sprintf(upgradeRequest, "weather, h2c, websocket"))
		if head := readHead(t, r); !strings.HasPrefix(head, "HTTP/1.1 101 ") || !strings.Contains(head, "Upgrade: websocket\r\n") {
			t.Errorf("got %q", head)
			continue
		}
		_, _ = io.WriteString(conn, "echo")
		got := make([]byte, 4)
		if _, err := io.ReadFull(r, got); err != nil || string(got) != "echo" {
			t.Errorf("got %q, %v", got, err)
		}
	}
}

// A client that asks to switch and holds its body back must not have a backend taken out of service
// for it.
func TestSwitchBeforeTheBodyIsNotTheBackendsFault(t *testing.T) {
	ended := make(chan struct{})
	address := rawBackend(t, func(conn net.Conn, r *bufio.Reader) {
		readHead(t, r)
		_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
		_, _ = io.Copy(io.Discard, r)
		close(ended)
	})
	p := startProxy(t, upstreams(address)+`,"health_checks":{"passive":{"fail_duration":"1h"}}`)
	conn, r := p.raw("GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
	<-ended
	_, _ = io.WriteString(conn, "hello") // net/http waits for it before it answers
	if head := readHead(t, r); !strings.HasPrefix(head, "HTTP/1.1 400 ") {
		t.Errorf("got %q", head)
	}
	m := runningPools()[0].Snapshot().Members[0]
	eventually(t, "release of the backend", func() bool { return m.Active() == 0 })
	if n := recentFails(m); n != 0 {
		t.Errorf("%d strikes", n)
	}
}

// Only an extended CONNECT for a WebSocket is a tunnel. Any other asks a gateway for what it does
// not do, and nothing of it gets past the filters.
func TestConnectIsRefused(t *testing.T) {
	var arrived atomic.Int64
	b := startBackend(t, func(http.ResponseWriter, *http.Request) { arrived.Add(1) })
	p := startProxy(t, upstreams(b.URL)+`,"filters":[{"filter":"body_limit","max_request":1000}]`, overH2C)
	for _, target := range []string{"/u", "a:80"} {
		_, r := p.raw("CONNECT " + target + " HTTP/1.1\r\nHost: a:80\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n")
		if head := readHead(t, r); !strings.HasPrefix(head, "HTTP/1.1 501 ") || !strings.Contains(head, "Connection: close") {
			t.Errorf("%s: got %q", target, head)
		}
	}
	c := p.h2(t)
	if err := c.connect(1); err != nil {
		t.Fatal(err)
	}
	if f, err := c.head(); err != nil || f.PseudoValue("status") != "501" {
		t.Errorf("HTTP/2: got %v, %v", f, err)
	}
	if n := arrived.Load(); n > 0 {
		t.Errorf("%d requests arrived", n)
	}
}

func TestTunnelsForOtherProtocolsAreRefused(t *testing.T) {
	for _, r := range []*http.Request{
		{Method: http.MethodConnect, Proto: "webtransport", ProtoMajor: 3},
		{Method: http.MethodConnect, Proto: "HTTP/2.0", ProtoMajor: 2, Header: http.Header{":protocol": {"connect-udp"}}},
	} {
		ex := &exchange{in: r}
		if f := ex.takeTunnel(); f == nil || f.status != http.StatusNotImplemented || ex.tunnel != nil {
			t.Errorf("%s: %v", r.Proto, f)
		}
	}
}
