package caddytest

import (
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// shell runs the commands of the page, one line at a time, in a directory of its own.
type shell struct {
	*Server
	dir   string
	lines []string
}

// newShell prepares a directory with a Caddyfile, and a server that commands may start there.
func newShell(t *testing.T, x pingoraExample, caddyfile string, vars map[string]string) *shell {
	t.Helper()
	bin, err := buildServer()
	if err != nil {
		t.Fatal(err)
	}
	sh := &shell{Server: &Server{t: t, Client: newClient(t), vars: vars, output: &output{}}, dir: t.TempDir()}
	sh.admin = "127.0.0.1:" + freePort(t)
	sh.lines = strings.Split(strings.TrimSpace(x.text), "\n")
	sh.cmd = exec.Command("true")
	sh.cmd.Env = []string{
		"PATH=" + filepath.Dir(bin) + ":" + os.Getenv("PATH"), "TMPDIR=" + sh.dir, "CADDY_ADMIN=" + sh.admin,
		"HOME=" + sh.dir, "XDG_DATA_HOME=" + sh.dir + "/data", "XDG_CONFIG_HOME=" + sh.dir + "/config",
	}
	sh.write(caddyfile)
	t.Cleanup(func() {
		if pid := sh.pid(); pid > 0 {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	})
	return sh
}

// write replaces the Caddyfile.
func (sh *shell) write(caddyfile string) {
	sh.t.Helper()
	if err := os.WriteFile(filepath.Join(sh.dir, "Caddyfile"), []byte(sh.expand(caddyfile)), 0o600); err != nil {
		sh.t.Fatal(err)
	}
}

// line is the only line of the page that contains what is given.
func (sh *shell) line(part string) string {
	sh.t.Helper()
	i := slices.IndexFunc(sh.lines, func(l string) bool { return strings.Contains(l, part) })
	if i < 0 {
		sh.t.Fatalf("the page has no command with %q: %q", part, sh.lines)
	}
	return sh.lines[i]
}

// try runs one command and returns its exit status and output. A server that it leaves behind keeps the file
// that its output goes to, and no pipe that would have to be waited for.
func (sh *shell) try(command string) (status int, text string) {
	sh.t.Helper()
	file, err := os.CreateTemp(sh.dir, "output")
	if err != nil {
		sh.t.Fatal(err)
	}
	defer file.Close()
	cmd := exec.CommandContext(sh.t.Context(), "sh", "-c", command)
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = sh.dir, sh.cmd.Env, file, file
	err = cmd.Run()
	if cmd.ProcessState == nil {
		sh.t.Fatal(err)
	}
	data, err := os.ReadFile(file.Name())
	if err != nil {
		sh.t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), string(data)
}

// run runs one command, which has to succeed.
func (sh *shell) run(command string) string {
	sh.t.Helper()
	status, text := sh.try(command)
	if status != 0 {
		sh.t.Fatalf("%s: exit status %d\n%s", command, status, text)
	}
	return text
}

// pid is what the file caddy.pid holds; 0 without one.
func (sh *shell) pid() int {
	data, err := os.ReadFile(filepath.Join(sh.dir, "caddy.pid"))
	if err != nil {
		return 0
	}
	pid, _ := strconv.Atoi(strings.TrimSpace(string(data)))
	return pid
}

// waitEnd waits until the server is gone, with its file and its admin API.
func (sh *shell) waitEnd() {
	sh.t.Helper()
	eventually(sh.t, "the server ends", func() bool { return sh.pid() == 0 && refuses(sh.admin) })
}

func refuses(addr string) bool {
	conn, err := net.Dial("tcp", addr)
	if err == nil {
		conn.Close()
	}
	return err != nil
}

const headed = `:{$PORT} {
	lb_proxy {$A} {
		header_down X-Version one
	}
}
`

func commandLine(t *testing.T, x pingoraExample) {
	b := NewBackend(t, "A")
	sh := newShell(t, x, headed, addresses(b))
	sh.run(sh.line("validate"))
	if status, text := sh.try(sh.line("help")); status != 0 || !strings.Contains(text, "validate") {
		t.Errorf("help: exit status %d\n%s", status, text)
	}
	sh.write(strings.Replace(headed, "lb_proxy {$A} {", "lb_proxy {$A} {\n\t\tlb_policy roundrobin", 1))
	if status, text := sh.try(sh.line("validate")); status != 1 || !strings.Contains(text, "Caddyfile:3") || !strings.Contains(text, "round_robin") {
		t.Errorf("a bad file: exit status %d, want 1, the line and what to write\n%s", status, text)
	}

	sh.write(headed)
	sh.run(sh.line("start"))
	if pid := sh.pid(); pid == 0 || syscall.Kill(pid, 0) != nil {
		t.Fatalf("after start the file has the process %d", pid)
	}
	if n := sh.metric("go_sched_gomaxprocs_threads"); n != 3 {
		t.Errorf("the server runs %v threads, want 3", n)
	}
	pid := sh.pid()
	sh.write(strings.Replace(headed, "one", "two", 1))
	sh.run(sh.line("reload"))
	if r := sh.reached(sh.URL("PORT", "/")); r.Header.Get("X-Version") != "two" || sh.pid() != pid {
		t.Errorf("after reload the answer has X-Version %q, and the process went from %d to %d", r.Header.Get("X-Version"), pid, sh.pid())
	}
	sh.write(strings.Replace(headed, "lb_proxy", "lb_prxy", 1))
	if status, _ := sh.try(sh.line("reload")); status == 0 {
		t.Error("a bad file was reloaded")
	}
	if r := sh.reached(sh.URL("PORT", "/")); r.Header.Get("X-Version") != "two" {
		t.Errorf("after a bad file the answer has X-Version %q", r.Header.Get("X-Version"))
	}
	sh.run(sh.line("stop"))
	sh.waitEnd()
}

func signals(t *testing.T, x pingoraExample) {
	b := NewBackend(t, "A")
	sh := newShell(t, x, headed, addresses(b))
	sh.run("caddy start --config Caddyfile --pidfile caddy.pid")
	sh.write(strings.Replace(headed, "one", "two", 1))
	sh.run(sh.line("-USR1"))
	eventually(t, "the file is loaded again", func() bool {
		return sh.reached(sh.URL("PORT", "/")).Header.Get("X-Version") == "two"
	})

	release := make(chan struct{})
	b.Do(hang(release))
	before := b.Hits()
	answered := sh.inBackground(sh.URL("PORT", "/"))
	eventually(t, "the request is with the backend", func() bool { return b.Hits() > before })
	sh.run(sh.line("-TERM"))
	eventually(t, "the server stops listening", func() bool { return refuses("127.0.0.1:" + sh.vars["PORT"]) })
	close(release)
	if r := <-answered; r.Status != http.StatusOK || r.Backend() != "A" {
		t.Errorf("the request under way ended with status %d", r.Status)
	}
	sh.waitEnd()
}

// The table of signals says that SIGINT is as SIGTERM, and that SIGQUIT ends the server at once.
func TestPingoraSignals(t *testing.T) {
	for _, c := range []struct {
		signal   syscall.Signal
		finishes bool
		exit     int
	}{{syscall.SIGINT, true, 0}, {syscall.SIGQUIT, false, 2}} {
		t.Run(c.signal.String(), func(t *testing.T) {
			b := NewBackend(t, "A")
			s := Start(t, headed, addresses(b))
			s.ended = true // by the signal
			release := make(chan struct{})
			b.Do(hang(release))
			done := make(chan error, 1)
			req := newRequest(t, http.MethodGet, s.URL("PORT", "/"), "")
			go func() {
				_, err := fetch(s.Client, req)
				done <- err
			}()
			eventually(t, "the request is with the backend", func() bool { return b.Hits() == 1 })
			s.Signal(c.signal)
			eventually(t, "the server stops listening", func() bool { return refuses("127.0.0.1:" + s.vars["PORT"]) })
			if c.finishes {
				close(release)
			}
			if err := <-done; (err == nil) != c.finishes {
				t.Errorf("the request under way ended with %v", err)
			}
			<-s.exited
			if code := s.cmd.ProcessState.ExitCode(); code != c.exit {
				t.Errorf("exit status %d, want %d", code, c.exit)
			}
		})
	}
}
