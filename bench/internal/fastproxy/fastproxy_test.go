package fastproxy

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/valyala/fasthttp"
)

// start runs the proxy before two backends that count their requests.
func start(t *testing.T, c Config) (addr string, counts *[2]atomic.Int64) {
	t.Helper()
	counts = new([2]atomic.Int64)
	for i := range counts {
		backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			counts[i].Add(1)
			fmt.Fprintf(w, "%s %s", r.Method, r.URL.Path)
		}))
		t.Cleanup(backend.Close)
		c.Upstreams = append(c.Upstreams, backend.Listener.Addr().String())
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &fasthttp.Server{Handler: handler(&c, nil)}
	done := make(chan error, 1)
	go func() { done <- server.Serve(ln) }()
	t.Cleanup(func() {
		if err := server.Shutdown(); err != nil {
			t.Error(err)
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return ln.Addr().String(), counts
}

// get sends a request on a connection of its own.
func get(t *testing.T, addr, host string) (status int, body string) {
	t.Helper()
	req := fasthttp.AcquireRequest()
	resp := fasthttp.AcquireResponse()
	defer fasthttp.ReleaseRequest(req)
	defer fasthttp.ReleaseResponse(resp)
	req.SetRequestURI("http://" + addr + "/a/b")
	req.SetHost(host)
	req.UseHostHeader = true
	req.Header.Set("Connection", "close")
	client := fasthttp.HostClient{Addr: addr}
	if err := client.Do(req, resp); err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode(), string(resp.Body())
}

func TestInTurn(t *testing.T) {
	addr, counts := start(t, Config{Idle: 10})
	for range 10 {
		if status, body := get(t, addr, "any.test"); status != http.StatusOK || body != "GET /a/b" {
			t.Fatalf("got %d %q", status, body)
		}
	}
	if a, b := counts[0].Load(), counts[1].Load(); a != 5 || b != 5 {
		t.Fatalf("backends had %d and %d requests", a, b)
	}
}

func TestSites(t *testing.T) {
	addr, _ := start(t, Config{Idle: 10, Sites: []string{"one.test", "two.test"}})
	for host, want := range map[string]int{"one.test": 200, "two.test": 200, "three.test": 404} {
		if status, body := get(t, addr, host); status != want {
			t.Errorf("%s: got %d %q", host, status, strings.TrimSpace(body))
		}
	}
}
