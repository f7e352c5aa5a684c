package proxy

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"time"

	"github.com/caddylb/caddy-lb/bench/internal/proc"
)

// process is a proxy's process and its setup.
type process struct {
	setup *Setup
	child *proc.Child
	log   string
}

// prepare gives a setup its ports.
func prepare(s *Setup) error {
	s.Port, s.TLSPort, s.Admin = freePort(), freePort(), address(freePort())
	return os.MkdirAll(s.Dir, 0o700)
}

// start runs a command and waits until it listens. What it says goes to a file.
func start(ctx context.Context, spawner *proc.Spawner, s *Setup, cmd *exec.Cmd, death syscall.Signal) (*process, error) {
	const patience = 15 * time.Second
	p := &process{setup: s, log: filepath.Join(s.Dir, "log")}
	out, err := os.Create(p.log)
	if err != nil {
		return nil, err
	}
	defer out.Close()
	cmd.Stdout, cmd.Stderr = out, out
	cpus := make([]int, runtime.NumCPU())
	for i := range cpus {
		cpus[i] = i
	}
	if p.child, err = spawner.Start(cmd, cpus, death); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	err = until(ctx, 10*time.Millisecond, func() (bool, error) {
		conn, err := net.Dial("tcp", p.Addr())
		if err == nil {
			conn.Close()
			return true, nil
		}
		return false, p.ended()
	})
	if err != nil {
		p.Stop()
		return nil, fmt.Errorf("%s does not listen: %w\n%s", cmd.Path, err, p.said())
	}
	return p, nil
}

// ended is an error if the process is no more.
func (p *process) ended() error {
	select {
	case <-p.child.Exited():
		return fmt.Errorf("it ended: %w", p.child.Err())
	default:
		return nil
	}
}

// said is the end of what the process wrote.
func (p *process) said() []byte {
	const most = 4 << 10
	data, _ := os.ReadFile(p.log)
	return data[max(len(data)-most, 0):]
}

// Addr implements Proxy.
func (p *process) Addr() string { return address(p.setup.Port) }

// TLSAddr implements Proxy.
func (p *process) TLSAddr() string { return address(p.setup.TLSPort) }

// Memory implements Proxy.
func (p *process) Memory() (int64, error) {
	if err := p.ended(); err != nil {
		return 0, fmt.Errorf("%w\n%s", err, p.said())
	}
	now, _, err := proc.Memory(proc.Tree(p.child.PID()))
	return now, err
}

// Stop implements Proxy.
func (p *process) Stop() { p.child.Kill() }

// until asks from time to time, until the answer is yes.
func until(ctx context.Context, pause time.Duration, done func() (bool, error)) error {
	t := time.NewTicker(pause)
	defer t.Stop()
	for {
		if ok, err := done(); ok || err != nil {
			return err
		}
		select {
		case <-t.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// freePort finds a port below those that the kernel gives to connections.
func freePort() int {
	for {
		port := 10000 + rand.IntN(20000)
		if ln, err := net.Listen("tcp", address(port)); err == nil {
			ln.Close()
			return port
		}
	}
}
