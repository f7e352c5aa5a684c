package caddytest

import (
	"encoding/json"
	"fmt"
	"go/format"
	"io"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

// pingoraServer is the server with every Go module of the page in it. It is built once.
var pingoraServer struct {
	once sync.Once
	bin  string
	err  error
}

// startWithModules runs a Caddyfile on a server that has the page's modules.
func startWithModules(t *testing.T, caddyfile string, vars map[string]string) *Server {
	t.Helper()
	sources := make(map[string]string)
	for _, x := range pingoraPage(t) {
		if x.lang == "go" {
			sources[x.name] = x.text
		}
	}
	pingoraServer.once.Do(func() { pingoraServer.bin, pingoraServer.err = buildWith(sources) })
	if pingoraServer.err != nil {
		t.Fatal(pingoraServer.err)
	}
	s := &Server{t: t, Client: newClient(t), vars: maps.Clone(vars)}
	if err := s.launch(pingoraServer.bin, caddyfile); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.finish)
	return s
}

// buildWith compiles the server with further packages, which are laid over the source tree and not written
// into it.
func buildWith(sources map[string]string) (string, error) {
	root, err := filepath.Abs("..")
	if err != nil {
		return "", err
	}
	dir := filepath.Join(binDir, "modules")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	var imports strings.Builder
	overlay := make(map[string]string)
	lay := func(at, name, text string) error {
		file := filepath.Join(dir, name)
		overlay[filepath.Join(root, at)] = file
		return os.WriteFile(file, []byte(text), 0o600)
	}
	for i, name := range slices.Sorted(maps.Keys(sources)) {
		pkg := fmt.Sprintf("example%d", i)
		if err := lay(filepath.Join("examples", pkg, pkg+".go"), pkg+".txt", sources[name]); err != nil {
			return "", err
		}
		fmt.Fprintf(&imports, "import _ %q\n", "github.com/caddylb/caddy-lb/examples/"+pkg)
	}
	if err := lay(filepath.Join("cmd", "caddy", "examples.go"), "main.txt", "package main\n"+imports.String()); err != nil {
		return "", err
	}
	data, err := json.Marshal(map[string]any{"Replace": overlay})
	if err != nil {
		return "", err
	}
	list := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(list, data, 0o600); err != nil {
		return "", err
	}
	bin := filepath.Join(dir, "caddy")
	args := []string{"build", "-overlay", list, "-o", bin}
	if raceEnabled {
		args = append(args, "-race")
	}
	cmd := exec.Command("go", append(args, "./cmd/caddy")...)
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building the page's modules: %w\n%s", err, out)
	}
	return bin, nil
}

// isFormatted checks that the code on the page looks as gofmt would have it.
func (x pingoraExample) isFormatted(t *testing.T) {
	t.Helper()
	formatted, err := format.Source([]byte(x.text))
	if err != nil {
		t.Fatal(err)
	}
	if string(formatted) != x.text {
		t.Errorf("the example is not formatted; gofmt makes of it\n%s", formatted)
	}
}

func selectionAlgorithm(t *testing.T, x pingoraExample) {
	x.isFormatted(t)
	b := sortedBackends(t, "A", "B", "C")
	s := startWithModules(t, `:{$PORT} {
	lb_proxy {$A} {$B} {$C} {
		lb_policy first_byte
		hash_key {http.request.header.X-Key}
	}
}
`, addresses(b...))
	names := []string{"A", "B", "C"}
	for _, key := range []string{"a", "b", "c", "apple", "zebra", "0", ""} {
		want := names[0]
		if key != "" {
			want = names[int(key[0])%3]
		}
		if got := s.Get(s.URL("PORT", "/"), "X-Key", key).Backend(); got != want {
			t.Errorf("the key %q went to %s, want %s", key, got, want)
		}
	}
	b[1].Down() // 'a' is 97, and so B's
	if r := s.Get(s.URL("PORT", "/"), "X-Key", "a"); r.Backend() != "C" {
		t.Errorf("without its backend the key went to %q, want C, the next", r.Backend())
	}
}

func selectWith(t *testing.T, x pingoraExample) {
	x.isFormatted(t)
	b := sortedBackends(t, "A", "B")
	s := startWithModules(t, ":{$PORT} {\n\tlb_proxy {$A} {$B} {\n\t\tlb_policy wanted\n\t}\n}\n", addresses(b...))
	for _, want := range []*Backend{b[1], b[0], b[1]} {
		if got := s.Get(s.URL("PORT", "/"), "X-Backend", want.Addr).Backend(); got != want.Name {
			t.Errorf("%s answered, want %s", got, want.Name)
		}
	}
	if got := s.order(s.URL("PORT", "/"), 2); got != "A A" {
		t.Errorf("without a wish %s answered, want the first", got)
	}
	b[1].Down()
	if got := s.Get(s.URL("PORT", "/"), "X-Backend", b[1].Addr).Backend(); got != "A" {
		t.Errorf("with the wanted backend down %q answered, want A", got)
	}
}

// greeter answers each connection with the next line of its script, and with the standing line after that.
// It is safe for concurrent use.
type greeter struct {
	addr string

	mu       sync.Mutex
	script   []string
	standing string
	greeted  int
}

func newGreeter(t *testing.T) *greeter {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:"+freePort(t))
	if err != nil {
		t.Fatal(err)
	}
	g := &greeter{addr: ln.Addr().String(), standing: "ready\n"}
	var done sync.WaitGroup
	done.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			_, _ = io.WriteString(conn, g.next())
			conn.Close()
		}
	})
	t.Cleanup(func() {
		ln.Close()
		done.Wait()
	})
	return g
}

func (g *greeter) next() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.greeted++
	if len(g.script) == 0 {
		return g.standing
	}
	line := g.script[0]
	g.script = g.script[1:]
	return line
}

// play sets the greetings to come, and waits until the one after the last was given.
func (g *greeter) play(t *testing.T, standing string, script ...string) {
	t.Helper()
	g.mu.Lock()
	g.script, g.standing = script, standing
	end := g.greeted + len(script)
	g.mu.Unlock()
	eventually(t, "the checks come", func() bool {
		g.mu.Lock()
		defer g.mu.Unlock()
		return g.greeted > end
	})
}

func customHealthCheck(t *testing.T, x pingoraExample) {
	x.isFormatted(t)
	g := newGreeter(t)
	s := startWithModules(t, `:{$PORT} {
	lb_proxy {$A} {
		health_check greeting {
			interval 50ms
			timeout 10s
		}
	}
}
`, map[string]string{"A": g.addr})
	pool := s.onlyPool()
	changed := func(healthy bool) func(LogLine) bool {
		return func(l LogLine) bool {
			return l.Text("msg") == "greeting changed" && l.Text("backend") == g.addr && l["healthy"] == healthy
		}
	}
	g.play(t, "ready\n", "busy\n", "ready\n", "busy\n", "ready\n")
	if n := s.countLog(changed(false)); n != 0 {
		t.Errorf("the backend went down %d times without two failures in a row", n)
	}
	// Two failures are enough, and so is one pass.
	g.play(t, "ready\n", "busy\n", "busy\n")
	line := s.WaitLog(t, "that the check was told", changed(false))
	if reason := line.Text("error"); reason != `the greeting is "busy\n"` {
		t.Errorf("the check was told the reason %q", reason)
	}
	s.WaitLog(t, "that the check was told of the recovery", changed(true))
	g.play(t, "busy\n")
	s.waitState(pool, g.addr, "down")
	g.play(t, "busy\n", "ready\n")
	eventually(t, "one pass brings the backend back", func() bool { return s.countLog(changed(true)) == 2 })
}

func healthObserve(t *testing.T, x pingoraExample) {
	x.isFormatted(t)
	b := NewBackend(t, "A")
	s := startWithModules(t, `{
	events {
		on unhealthy tell
	}
	lb_pool p {
		backend {$A}
		health_check http /health {
			interval 50ms
			timeout 10s
		}
	}
}
:{$PORT} {
	lb_proxy {
		pool p
	}
}
`, addresses(b))
	s.waitState("p", b.Addr, "up")
	b.SetHealth(503)
	line := s.WaitLog(t, "what was observed", func(l LogLine) bool { return l.Text("msg") == "observed" })
	if line.Text("now") != "unhealthy" || line.Text("backend") != b.Addr || !strings.Contains(line.Text("why"), "503") {
		t.Errorf("observed %v", line)
	}
}
