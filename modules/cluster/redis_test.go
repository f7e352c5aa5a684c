package cluster

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/gomodule/redigo/redis"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		goleak.IgnoreTopFunction("github.com/golang/glog.(*fileSink).flushDaemon"),
	)
}

// redisServer is a Redis in a process of its own, without persistence unless it is asked for.
type redisServer struct {
	t    testing.TB
	port string
	args []string
	cmd  *exec.Cmd
	dir  string
}

// startRedis starts a Redis on a free port, with options as on its command line.
func startRedis(t testing.TB, args ...string) *redisServer {
	t.Helper()
	if _, err := exec.LookPath("redis-server"); err != nil {
		t.Skip("there is no redis-server to test with: install Debian's package of that name")
	}
	r := &redisServer{t: t, port: freePort(t), args: args, dir: t.TempDir()}
	r.start()
	t.Cleanup(r.stop)
	return r
}

// freePort is a port below the range from which systems take those of outgoing connections, so that it stays free while the server is
// down.
func freePort(t testing.TB) string {
	t.Helper()
	for port := 20000 + os.Getpid()%9000; port < 31000; port++ {
		ln, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err == nil {
			ln.Close()
			return fmt.Sprint(port)
		}
	}
	t.Fatal("no free port found")
	return ""
}

// start runs the server, again after stop, and waits until it answers.
func (r *redisServer) start() {
	r.t.Helper()
	args := append([]string{"--port", r.port, "--bind", "127.0.0.1", "--save", "", "--dir", r.dir, "--daemonize", "no"}, r.args...)
	r.cmd = exec.Command("redis-server", args...)
	out, err := os.Create(r.dir + "/log")
	if err != nil {
		r.t.Fatal(err)
	}
	defer out.Close()
	r.cmd.Stdout, r.cmd.Stderr = out, out
	if err := r.cmd.Start(); err != nil {
		r.t.Fatal(err)
	}
	eventually(r.t, "redis-server accepts", func() bool {
		conn, err := net.Dial("tcp", r.address())
		if err != nil {
			return false
		}
		conn.Close()
		return true
	})
}

// stop kills the server, as a machine that dies does.
func (r *redisServer) stop() {
	if r.cmd == nil {
		return
	}
	_ = r.cmd.Process.Kill()
	_ = r.cmd.Wait()
	r.cmd = nil
}

// freeze stops the process, which keeps its connections but answers nothing, until thaw.
func (r *redisServer) freeze() { r.signal(syscall.SIGSTOP) }

func (r *redisServer) thaw() { r.signal(syscall.SIGCONT) }

func (r *redisServer) signal(s syscall.Signal) {
	r.t.Helper()
	if err := r.cmd.Process.Signal(s); err != nil {
		r.t.Fatal(err)
	}
}

func (r *redisServer) address() string { return "127.0.0.1:" + r.port }

func (r *redisServer) url() string { return "redis://" + r.address() }

// do runs a command on a connection of its own.
func (r *redisServer) do(command string, args ...any) (any, error) {
	conn, err := redis.Dial("tcp", r.address())
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	return conn.Do(command, args...)
}

func (r *redisServer) must(command string, args ...any) any {
	r.t.Helper()
	reply, err := r.do(command, args...)
	if err != nil {
		r.t.Fatalf("%s: %v", command, err)
	}
	return reply
}

// patience is how long a condition may take to come true. It only bounds how long a failure takes.
const patience = 20 * time.Second

func eventually(t testing.TB, what string, cond func() bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for !cond() {
		if time.Now().After(deadline) {
			t.Fatalf("gave up waiting: %s", what)
		}
		time.Sleep(2 * time.Millisecond)
	}
}

// caddyContext is a context as a configuration gives it to its modules.
func caddyContext(t testing.TB) caddy.Context {
	t.Helper()
	ctx, cancel := caddy.NewContext(caddy.Context{Context: context.Background()})
	t.Cleanup(cancel)
	return ctx
}

// open provisions an app, which is given back with the test. Options with different prefixes have clients of their own.
func open(t testing.TB, o Options) *App {
	t.Helper()
	app, err := tryOpen(t, o)
	if err != nil {
		t.Fatal(err)
	}
	return app
}

func tryOpen(t testing.TB, o Options) (*App, error) {
	app := &App{Options: o}
	err := app.Provision(caddyContext(t))
	t.Cleanup(func() {
		if err := app.Cleanup(); err != nil {
			t.Error(err)
		}
	})
	return app, err
}

// instance is a client as another process has it: nothing is shared but Redis.
func instance(t testing.TB, o Options) *shared {
	t.Helper()
	target, err := o.target()
	if err != nil {
		t.Fatal(err)
	}
	c := newClient(target)
	t.Cleanup(func() { _ = c.Destruct() })
	if err := c.firstAnswer(t.Context()); err != nil {
		t.Fatal(err)
	}
	return &shared{client: c}
}

// patient are options for tests that are about something else than a machine that is slow for a moment.
func patient(r *redisServer) Options {
	return Options{URL: r.url(), Timeout: caddy.Duration(5 * time.Second)}
}

func wantError(t testing.TB, err error, parts ...string) {
	t.Helper()
	if err == nil {
		t.Fatal("there is no error")
	}
	for _, p := range parts {
		if !strings.Contains(err.Error(), p) {
			t.Errorf("the error does not say %q: %v", p, err)
		}
	}
}

func isAway(err error) bool { return errors.As(err, new(*awayError)) }
