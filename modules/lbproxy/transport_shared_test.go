package lbproxy

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
)

// countingBackend counts the connections that it accepts.
func countingBackend(t *testing.T) (address string, accepted *atomic.Int32) {
	t.Helper()
	accepted = new(atomic.Int32)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(w, r.Body) }))
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			accepted.Add(1)
		}
	}
	server.Start()
	t.Cleanup(server.Close)
	return server.Listener.Addr().String(), accepted
}

func TestConnectionsSurviveAReload(t *testing.T) {
	address, accepted := countingBackend(t)
	handler := fmt.Sprintf(`"upstreams":[{"dial":%q}]`, address)
	p := startProxy(t, handler)
	p.get("/")
	for range 3 {
		p.load(handler + `,"headers":{"response":{"set":{"X-Edit":["1"]}}}`)
		p.get("/")
		p.load(handler + `,"load_balancing":{"selection_policy":{"policy":"random"}}`)
		p.get("/")
	}
	if n := accepted.Load(); n != 1 {
		t.Errorf("%d connections over 6 reloads, want 1", n)
	}
	// Another transport has connections of its own, and the old ones are closed.
	p.load(handler + `,"transport":{"protocol":"http","dial_timeout":"7s"}`)
	p.get("/")
	if n := accepted.Load(); n != 2 {
		t.Errorf("%d connections after the transport changed, want 2", n)
	}
}

func TestTransportsAreGivenBack(t *testing.T) {
	address, _ := countingBackend(t)
	p := startProxy(t, fmt.Sprintf(`"upstreams":[{"dial":%q}],"transport":{"protocol":"http","dial_timeout":"8s"}`, address))
	p.get("/")
	held := func() (n int) {
		sharedTransports.Range(func(key, _ any) bool {
			if strings.Contains(key.(transportKey).config, `"dial_timeout":8000000000`) {
				n++
			}
			return true
		})
		return n
	}
	if held() != 1 {
		t.Fatalf("%d transports are held, want 1", held())
	}
	if err := p.tryLoad(fmt.Sprintf(`"upstreams":[{"dial":%q}],"transport":{"protocol":"http","dial_timeout":"8s"},"trusted_proxies":["nonsense"]`, address)); err == nil {
		t.Fatal("the bad configuration loads")
	}
	if held() != 1 {
		t.Errorf("%d transports are held after a failed reload, want 1", held())
	}
	p.load(fmt.Sprintf(`"upstreams":[{"dial":%q}]`, address))
	eventually(t, "the transport to be given back", func() bool { return held() == 0 })
}

func TestWhatBelongsToAConfigurationIsNotShared(t *testing.T) {
	for config, want := range map[string]bool{
		`{}`:                                 true,
		`{"tls":{"server_name":"a"}}`:        true,
		`{"tls":{"ca":{"provider":"file"}}}`: false,
		`{"tls":{"client_certificate_file":"f"}}`:     false,
		`{"tls":{"client_certificate_automate":"a"}}`: false,
		`{"tls":{"root_ca_pem_files":["f"]}}`:         false,
		`{"network_proxy":{"from":"none"}}`:           false,
	} {
		module := new(reverseproxy.HTTPTransport)
		if err := json.Unmarshal([]byte(config), module); err != nil {
			t.Fatal(err)
		}
		if got := isSharable(module); got != want {
			t.Errorf("%s: sharable %v, want %v", config, got, want)
		}
	}
}

// A backend that closes idle connections, as many do after a few seconds, costs no request, whatever the method.
func TestStaleConnectionsCostNoRequest(t *testing.T) {
	served := new(atomic.Int32)
	ended := make(chan struct{}, 64)
	address := rawBackend(t, func(conn net.Conn, r *bufio.Reader) {
		req, err := http.ReadRequest(r)
		if err != nil {
			return
		}
		body, _ := io.ReadAll(req.Body)
		served.Add(1)
		fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
		conn.Close() // without saying so
		ended <- struct{}{}
	})
	p := startProxy(t, fmt.Sprintf(`"upstreams":[{"dial":%q}]`, address))
	for i := range 60 {
		body := fmt.Sprint("body ", i)
		if r := p.send("POST", "/", strings.NewReader(body)); r.status != 200 || r.body != body {
			t.Fatalf("POST %d: %d %q", i, r.status, r.body)
		}
		<-ended
	}
	if n := served.Load(); n != 60 {
		t.Errorf("the backend served %d requests, want each of 60 once", n)
	}
}
