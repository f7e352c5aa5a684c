package caddytest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// Server is a Caddy in a process of its own. It ends with its test, which fails if it does not end well.
type Server struct {
	t      testing.TB
	vars   map[string]string
	admin  string // host:port
	cmd    *exec.Cmd
	output *output
	exited chan struct{}
	ended  bool

	reloaded atomic.Int64 // Unix time in nanoseconds when a configuration was last loaded

	// Client speaks to the server and its admin API; it keeps connections alive.
	Client *http.Client
}

// Start runs a Caddy with a Caddyfile in which {$NAME} stands for vars["NAME"], or for a free port if NAME
// begins with PORT. It returns when the server serves.
func Start(t testing.TB, caddyfile string, vars map[string]string) *Server {
	t.Helper()
	bin, err := buildServer()
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{t: t, Client: newClient(t)}
	// A port found free may be taken before the server listens on it; then others are tried.
	for attempt := range 4 {
		s.vars = make(map[string]string)
		for k, v := range vars {
			s.vars[k] = v
		}
		if err = s.launch(bin, caddyfile); err == nil {
			t.Cleanup(s.finish)
			return s
		}
		if attempt == 3 || !strings.Contains(err.Error(), "address already in use") {
			break
		}
	}
	t.Fatal(err)
	return nil
}

func newClient(t testing.TB) *http.Client {
	tr := &http.Transport{MaxIdleConnsPerHost: 64, DisableCompression: true}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{
		Transport:     tr,
		Timeout:       patience(),
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// launch starts the process and waits until it serves.
func (s *Server) launch(bin, caddyfile string) error {
	dir := s.t.TempDir()
	file := filepath.Join(dir, "Caddyfile")
	if err := os.WriteFile(file, []byte(s.expand(caddyfile)), 0o600); err != nil {
		return err
	}
	s.admin = "127.0.0.1:" + freePort(s.t)
	s.output = &output{}
	s.cmd = exec.Command(bin, "run", "--config", file, "--adapter", "caddyfile")
	s.cmd.Dir = dir
	s.cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "TMPDIR=" + dir, "CADDY_ADMIN=" + s.admin,
		"HOME=" + dir, "XDG_DATA_HOME=" + dir + "/data", "XDG_CONFIG_HOME=" + dir + "/config",
	}
	s.cmd.Stdout, s.cmd.Stderr = s.output, s.output
	if err := s.cmd.Start(); err != nil {
		return err
	}
	s.exited = make(chan struct{})
	go func() {
		// The exit status is read from ProcessState.
		_ = s.cmd.Wait()
		close(s.exited)
	}()
	deadline := time.After(patience())
	for !s.output.contains(`"msg":"serving initial configuration"`) {
		select {
		case <-s.exited:
			return fmt.Errorf("the server ended: %s\n%s", s.cmd.ProcessState, s.output.tail(40))
		case <-deadline:
			_ = s.cmd.Process.Kill()
			return fmt.Errorf("the server does not serve\n%s", s.output.tail(40))
		case <-time.After(5 * time.Millisecond):
		}
	}
	return nil
}

var placeholder = regexp.MustCompile(`\{\$([A-Z][A-Z0-9_]*)\}`)

// expand fills in {$NAME}.
func (s *Server) expand(text string) string {
	return placeholder.ReplaceAllStringFunc(text, func(m string) string {
		name := m[2 : len(m)-1]
		if v, ok := s.vars[name]; ok {
			return v
		}
		if !strings.HasPrefix(name, "PORT") {
			s.t.Fatalf("the Caddyfile has %s, which is not set", m)
		}
		s.vars[name] = freePort(s.t)
		return s.vars[name]
	})
}

// URL is path on the site that listens on {$port}, as http.
func (s *Server) URL(port, path string) string {
	if s.vars[port] == "" {
		s.t.Fatalf("no port is named %s", port)
	}
	return "http://127.0.0.1:" + s.vars[port] + path
}

// Reply is an answer read to its end.
type Reply struct {
	Status int
	Header http.Header
	Body   string
}

// Backend is the name of the Backend that answered.
func (r Reply) Backend() string { return r.Header.Get("X-Backend") }

// do sends a request and fails the test when there is no answer.
func (s *Server) do(req *http.Request) Reply {
	s.t.Helper()
	for {
		r, err := fetch(s.Client, req)
		if err == nil {
			return r
		}
		if !s.handedOver(req, err) {
			s.t.Fatalf("%s %s: %v", req.Method, req.URL, err)
		}
		req = req.Clone(req.Context())
		if req.GetBody != nil {
			req.Body, _ = req.GetBody() // it never fails for bytes
		}
	}
}

// handover is how long after a reload a connection may be lost. Each configuration of Caddy listens on a socket of
// its own, and what waits in the old one when it closes is reset, whatever the handler.
const handover = 2 * time.Second

// handedOver reports whether a request may be repeated because its connection was lost with a listener: a GET, or a
// request to the admin API, whose orders may be given twice.
func (s *Server) handedOver(req *http.Request, err error) bool {
	lost := errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
	return lost && time.Since(time.Unix(0, s.reloaded.Load())) < handover && (req.Method == http.MethodGet || req.URL.Host == s.admin)
}

// reached sends a GET until a connection lasts long enough to answer it, for reloads that do not go through [Server.load].
func (s *Server) reached(url string) Reply {
	s.t.Helper()
	var r Reply
	eventually(s.t, url+" is reached", func() bool {
		var err error
		r, err = fetch(s.Client, newRequest(s.t, http.MethodGet, url, ""))
		return err == nil
	})
	return r
}

func fetch(c *http.Client, req *http.Request) (Reply, error) {
	resp, err := c.Do(req)
	if err != nil {
		return Reply{}, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return Reply{resp.StatusCode, resp.Header, string(body)}, err
}

func newRequest(t testing.TB, method, url, body string, header ...string) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, bytes.NewReader([]byte(body)))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	return req
}

// Get sends a GET with header fields given as name, value, name, value.
func (s *Server) Get(url string, header ...string) Reply {
	s.t.Helper()
	return s.do(newRequest(s.t, http.MethodGet, url, "", header...))
}

// Admin sends a request to the admin API.
func (s *Server) Admin(method, path, body string) Reply {
	s.t.Helper()
	return s.do(newRequest(s.t, method, "http://"+s.admin+path, body, "Content-Type", "application/json"))
}

// Reload loads another Caddyfile and returns what the server has against it.
func (s *Server) Reload(caddyfile string) error {
	s.t.Helper()
	return s.load(s.expand(caddyfile), "text/caddyfile")
}

// ReloadJSON loads a configuration in Caddy's own format.
func (s *Server) ReloadJSON(config string) error {
	s.t.Helper()
	return s.load(s.expand(config), "application/json")
}

func (s *Server) load(config, contentType string) error {
	s.t.Helper()
	s.reloaded.Store(time.Now().UnixNano())
	r := s.do(newRequest(s.t, http.MethodPost, "http://"+s.admin+"/load", config,
		"Content-Type", contentType, "Cache-Control", "must-revalidate"))
	s.reloaded.Store(time.Now().UnixNano())
	if r.Status != http.StatusOK {
		return fmt.Errorf("status %d: %s", r.Status, r.Body)
	}
	return nil
}

// mustReload is Reload for a configuration that has to load.
func (s *Server) mustReload(caddyfile string) {
	s.t.Helper()
	if err := s.Reload(caddyfile); err != nil {
		s.t.Fatal(err)
	}
}

// Signal sends a signal to the process.
func (s *Server) Signal(sig syscall.Signal) {
	s.t.Helper()
	if err := s.cmd.Process.Signal(sig); err != nil {
		s.t.Fatal(err)
	}
}

// Stop asks the server to end, waits until it has, and returns an error if it did not end well.
func (s *Server) Stop() error {
	if s.ended {
		return nil
	}
	s.ended = true
	s.Client.CloseIdleConnections()
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case <-s.exited:
	case <-time.After(2 * patience()):
		_ = s.cmd.Process.Signal(syscall.SIGABRT) // makes the runtime print its goroutines
		<-s.exited
		return fmt.Errorf("the server did not end\n%s", s.output.tail(200))
	}
	for _, bad := range []string{"DATA RACE", "panic:", "panic serving", "fatal error:"} {
		if s.output.contains(bad) {
			return fmt.Errorf("the server's output has %q\n%s", bad, s.output.around(bad, 60))
		}
	}
	if code := s.cmd.ProcessState.ExitCode(); code != 0 {
		return fmt.Errorf("the server ended with %d\n%s", code, s.output.tail(40))
	}
	return nil
}

// finish ends the server with its test, and shows its log if the test failed.
func (s *Server) finish() {
	if err := s.Stop(); err != nil {
		s.t.Error(err)
	}
	if s.t.Failed() {
		s.t.Logf("the end of the server's log:\n%s", s.output.tail(25))
	}
}
