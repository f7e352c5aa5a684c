package proxy

import (
	"context"
	"encoding/csv"
	"fmt"
	"io"
	"net"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/caddylb/caddy-lb/bench/internal/peer"
	"github.com/caddylb/caddy-lb/bench/internal/proc"
)

// Haproxy is HAProxy in master-worker mode.
type Haproxy struct{ peer.Haproxy }

const haproxyConfig = "haproxy.cfg"

// Death implements Peer: the master ends its workers.
func (Haproxy) Death() syscall.Signal { return syscall.SIGTERM }

// Start implements Peer.
func (h Haproxy) Start(ctx context.Context, spawner *proc.Spawner, s *Setup) (Proxy, error) {
	if err := prepare(s); err != nil {
		return nil, err
	}
	file, err := s.write(haproxyConfig)
	if err != nil {
		return nil, err
	}
	p, err := start(ctx, spawner, s, exec.Command("haproxy", "-W", "-f", file), h.Death())
	return &haproxyProxy{p}, err
}

type haproxyProxy struct{ *process }

// Reload implements Proxy. The master starts another worker, which takes over the sockets that listen.
func (p *haproxyProxy) Reload(context.Context) error {
	p.setup.Generation++
	if _, err := p.setup.write(haproxyConfig); err != nil {
		return err
	}
	return syscall.Kill(p.child.PID(), syscall.SIGUSR2)
}

// Drain implements Proxy.
func (p *haproxyProxy) Drain(ctx context.Context, backend string) error {
	server := fmt.Sprintf("s%d", slices.Index(p.setup.Backends, backend))
	if err := p.order("set server app/" + server + " state drain"); err != nil {
		return err
	}
	return until(ctx, 20*time.Millisecond, func() (bool, error) { return p.empty(server) })
}

// Undrain implements Proxy.
func (p *haproxyProxy) Undrain(_ context.Context, backend string) error {
	return p.order(fmt.Sprintf("set server app/s%d state ready", slices.Index(p.setup.Backends, backend)))
}

// order is a command that answers nothing when it is carried out.
func (p *haproxyProxy) order(command string) error {
	answer, err := p.ask(command)
	if err == nil && strings.TrimSpace(answer) != "" {
		err = fmt.Errorf("%s: %s", command, answer)
	}
	return err
}

// ask sends a command to the runtime API.
func (p *haproxyProxy) ask(command string) (string, error) {
	conn, err := net.DialTimeout("unix", filepath.Join(p.setup.Dir, "admin.sock"), time.Second)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
	if _, err := io.WriteString(conn, command+"\n"); err != nil {
		return "", err
	}
	answer, err := io.ReadAll(conn)
	return string(answer), err
}

// empty reports whether a server has no sessions (management guide, section 9.1: scur).
func (p *haproxyProxy) empty(server string) (bool, error) {
	answer, err := p.ask("show stat")
	if err != nil {
		return false, err
	}
	rows, err := csv.NewReader(strings.NewReader(strings.TrimPrefix(answer, "# "))).ReadAll()
	if err != nil {
		return false, err
	}
	name, sessions := slices.Index(rows[0], "svname"), slices.Index(rows[0], "scur")
	for _, row := range rows[1:] {
		if row[name] == server {
			return row[sessions] == "0", nil
		}
	}
	return false, fmt.Errorf("no server %s in show stat", server)
}
