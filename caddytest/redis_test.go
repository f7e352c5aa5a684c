package caddytest

import (
	"net"
	"os/exec"
	"testing"
)

// Redis is a redis-server in a process of its own, which keeps nothing over a restart.
type Redis struct {
	t    testing.TB
	port string
	cmd  *exec.Cmd
}

// StartRedis starts a Redis on a free port. It ends with its test.
func StartRedis(t testing.TB) *Redis {
	t.Helper()
	if _, err := exec.LookPath("redis-server"); err != nil {
		t.Skip("there is no redis-server to test with: install Debian's package of that name")
	}
	r := &Redis{t: t, port: freePort(t)}
	r.Up()
	t.Cleanup(r.Down)
	return r
}

// Up starts it again after Down.
func (r *Redis) Up() {
	r.t.Helper()
	r.cmd = exec.Command("redis-server", "--port", r.port, "--bind", "127.0.0.1", "--save", "", "--dir", r.t.TempDir(), "--daemonize", "no")
	if err := r.cmd.Start(); err != nil {
		r.t.Fatal(err)
	}
	eventually(r.t, "redis-server accepts", func() bool {
		conn, err := net.Dial("tcp", "127.0.0.1:"+r.port)
		if err != nil {
			return false
		}
		conn.Close()
		return true
	})
}

// Down kills it.
func (r *Redis) Down() {
	if r.cmd == nil {
		return
	}
	_ = r.cmd.Process.Kill()
	_ = r.cmd.Wait()
	r.cmd = nil
}

// URL is where it is.
func (r *Redis) URL() string { return "redis://127.0.0.1:" + r.port }
