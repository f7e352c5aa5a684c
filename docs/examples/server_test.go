package examples

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	_ "github.com/caddyserver/caddy/v2/modules/standard"

	_ "github.com/caddylb/caddy-lb"
	_ "github.com/caddylb/caddy-lb/docs/examples/agent"
	_ "github.com/caddylb/caddy-lb/docs/examples/listfile"
	_ "github.com/caddylb/caddy-lb/docs/examples/nearby"
	_ "github.com/caddylb/caddy-lb/docs/examples/servertiming"
)

// server is a Caddy with the Caddyfile of one example.
type server struct {
	t       *testing.T
	address string
	config  []byte
}

// serve loads the Caddyfile of an example, with other words for some of its own: replacements come in pairs.
func serve(t *testing.T, example string, replacements ...string) *server {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(example, "Caddyfile"))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(replacements); i += 2 {
		if !strings.Contains(string(text), replacements[i]) {
			t.Fatalf("the Caddyfile of %s has no %q", example, replacements[i])
		}
	}
	s := &server{t: t, address: unused(t)}
	_, port, _ := net.SplitHostPort(s.address)
	site := strings.NewReplacer(append(replacements, ":8080 {", ":"+port+" {")...).Replace(string(text))
	options := fmt.Sprintf("{\n admin off\n persist_config off\n default_bind 127.0.0.1\n storage file_system %q\n log {\n  output discard\n }\n}\n", t.TempDir())
	s.config, _, err = caddyconfig.GetAdapter("caddyfile").Adapt([]byte(options+site), nil)
	if err != nil {
		t.Fatal(err)
	}
	s.load()
	t.Cleanup(func() {
		http.DefaultClient.CloseIdleConnections()
		if err := caddy.Stop(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func (s *server) load() {
	s.t.Helper()
	if err := caddy.Load(s.config, true); err != nil {
		s.t.Fatal(err)
	}
}

// get returns the answer and its body.
func (s *server) get() (res *http.Response, body string) {
	s.t.Helper()
	res, err := http.Get("http://" + s.address + "/")
	if err != nil {
		s.t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return res, string(text)
}

// until asks again and again for the answer that has to come.
func (s *server) until(want string) {
	s.t.Helper()
	got := ""
	for deadline := time.Now().Add(10 * time.Second); got != want; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			s.t.Fatalf("%q answers, want %q", got, want)
		}
		_, got = s.get()
	}
}

// unused is an address that nobody listens on.
func unused(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().String()
}

// backend answers with its name. It returns where.
func backend(t *testing.T, name string) string {
	t.Helper()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, name) }))
	t.Cleanup(srv.Close)
	return srv.Listener.Addr().String()
}

func TestServerTiming(t *testing.T) {
	s := serve(t, "servertiming", "127.0.0.1:9001", backend(t, "one"))
	res, body := s.get()
	if got := res.Header.Get("Server-Timing"); body != "one" || !regexp.MustCompile(`^app;dur=\d+\.\d;desc="try 1"$`).MatchString(got) {
		t.Errorf("%q with Server-Timing: %s", body, got)
	}
}

func TestNearby(t *testing.T) {
	near := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "near") }))
	t.Cleanup(near.Close)
	// A name is in no network.
	_, farPort, _ := net.SplitHostPort(backend(t, "far"))
	s := serve(t, "nearby", "10.1.0.7:9001", near.Listener.Addr().String(), "10.2.0.7:9001", "localhost:"+farPort, "10.1.0.0/16", "127.0.0.0/8")
	for range 5 {
		if _, body := s.get(); body != "near" {
			t.Errorf("%q answered, want the near one", body)
		}
	}
	near.Close()
	if _, body := s.get(); body != "far" {
		t.Errorf("%q answered with the near one gone", body)
	}
}

// startAgent runs an agent that says what is stored to everyone who connects and asks how it is. It returns its port.
func startAgent(t *testing.T, says *atomic.Value) (port string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			if line, _ := bufio.NewReader(conn).ReadString('\n'); line == "how\n" {
				fmt.Fprintf(conn, "%s\n", says.Load())
			}
			conn.Close()
		}
	}()
	_, port, _ = net.SplitHostPort(ln.Addr().String())
	return port
}

func TestAgent(t *testing.T) {
	var says atomic.Value
	says.Store("up 100%")
	port := startAgent(t, &says)
	s := serve(t, "agent", "10.1.0.7:9001", backend(t, "one"), "10.1.0.8:9001", backend(t, "two"), "9101", port,
		"health_check agent {", "health_check agent \"how\n\" {", "2s", "10ms")
	if _, body := s.get(); body != "one" {
		t.Errorf("%q answered, want the first, which is up", body)
	}
	says.Store("drain for a while")
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		res, _ := s.get()
		if res.StatusCode == http.StatusServiceUnavailable {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("backends serve whose agent says drain")
		}
	}
	says.Store("ready")
	s.until("one")
}

func TestListFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "backends")
	list := func(addresses ...string) {
		t.Helper()
		if err := os.WriteFile(path+".new", []byte(strings.Join(addresses, "\n")), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(path+".new", path); err != nil {
			t.Fatal(err)
		}
	}
	one, two := backend(t, "one"), backend(t, "two")
	list(one)
	s := serve(t, "listfile", "/etc/caddy/backends", path, "127.0.0.1:9001", unused(t))
	if _, body := s.get(); body != "one" {
		t.Errorf("%q answered, want the backend of the file", body)
	}
	list(two)
	s.until("two")

	// A list that is in use is not read by a reload, and a file that went away changes nothing.
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	s.load()
	s.until("two")
}
