package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/caddylb/caddy-lb/bench/internal/load"
	"github.com/caddylb/caddy-lb/bench/internal/peer"
	"github.com/caddylb/caddy-lb/bench/internal/proc"
	"github.com/caddylb/caddy-lb/bench/internal/scenario"
)

// startTimeout is how long a proxy may take until it listens.
const startTimeout = 15 * time.Second

// bed is where single runs take place.
type bed struct {
	opts         *options
	self         string
	dir          string
	spawner      *proc.Spawner
	certificates peer.Certificates
	runs         int
}

// lacking is why a peer is left out of a scenario.
type lacking string

func (l lacking) Error() string { return "left out: it " + string(l) }

// single runs one peer in one scenario once, with a proxy and a load process of its own.
func (b *bed) single(ctx context.Context, p peer.Peer, s scenario.Scenario) (*load.Result, error) {
	setup := b.setup(s)
	if reason := p.Lacks(setup); reason != "" {
		return nil, lacking(reason)
	}
	b.runs++
	setup.Dir = filepath.Join(b.dir, fmt.Sprintf("%d-%s-%s", b.runs, s.Name, p.Name()))
	if err := os.Mkdir(setup.Dir, 0o700); err != nil {
		return nil, err
	}
	l, err := b.startLoad(s)
	if err != nil {
		return nil, err
	}
	defer l.child.Kill()
	if setup.Upstreams, err = l.backends(); err != nil {
		return nil, err
	}
	var output bytes.Buffer
	proxy, err := b.startProxy(ctx, p, s, setup, &output)
	if err != nil {
		return nil, err
	}
	defer proxy.Kill()
	run := s.Load()
	run.Target, run.PID = address(setup.Port), proxy.PID()
	run.CPUs = slices.Concat(b.opts.proxyCPUs[:s.Procs], b.opts.loadCPUs)
	run.Warmup, run.Duration = b.opts.warmup, b.opts.duration
	if s.TLS {
		run.CA = b.certificates.Cert
	}
	result, err := l.do(ctx, run)
	select {
	case <-proxy.Exited():
		proxy.Kill() // ends what writes to output
		return nil, fmt.Errorf("%s ended within the run: %w\n%s", p.Name(), proxy.Err(), output.Bytes())
	default:
	}
	return result, err
}

// setup is a scenario for a peer; the addresses of backends and the directory are still to be filled in.
func (b *bed) setup(s scenario.Scenario) *peer.Setup {
	const fewest = 256
	setup := &peer.Setup{
		Port: freePort(), TLS: s.TLS, H2: s.Protocol == load.H2, WebSocket: s.Protocol == load.WebSocket, UpstreamTLS: s.UpstreamTLS,
		Consistent: s.Consistent, Procs: s.Procs, Answer: s.Answer, Upload: s.Upload,
		Idle: max(fewest, s.Conns, 2*s.Backends), IdleMemory: s.Idle, Certificates: b.certificates,
	}
	for i := range s.Sites {
		setup.Sites = append(setup.Sites, load.Host(i))
	}
	return setup
}

// loadProcess is the process of clients and backends.
type loadProcess struct {
	child *proc.Child
	in    io.WriteCloser
	out   *json.Decoder
	job   load.Backends
}

func (b *bed) startLoad(s scenario.Scenario) (*loadProcess, error) {
	cmd := exec.Command(b.self, loadCommand)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	l := &loadProcess{in: in, out: json.NewDecoder(out), job: load.Backends{Count: s.Backends, Spread: s.Consistent}}
	if s.UpstreamTLS {
		l.job.Cert, l.job.Key = b.certificates.Cert, b.certificates.Key
	}
	l.child, err = b.spawner.Start(cmd, b.opts.loadCPUs, syscall.SIGKILL)
	return l, err
}

// backends has the process listen, and returns the addresses.
func (l *loadProcess) backends() ([]string, error) {
	var ready load.Ready
	if err := l.ask(l.job, &ready); err != nil {
		return nil, err
	}
	return ready.Addresses, nil
}

func (l *loadProcess) ask(question, answer any) error {
	if err := json.NewEncoder(l.in).Encode(question); err != nil {
		return fmt.Errorf("load process: %w", err)
	}
	if err := l.out.Decode(answer); err != nil {
		return fmt.Errorf("load process: %w", err)
	}
	return nil
}

// do has the process carry out a run, and ends it when ctx does.
func (l *loadProcess) do(ctx context.Context, run load.Run) (*load.Result, error) {
	defer context.AfterFunc(ctx, l.child.Kill)()
	var result load.Result
	err := l.ask(run, &result)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	return &result, err
}

// startProxy starts a peer and waits until it listens.
func (b *bed) startProxy(
	ctx context.Context, p peer.Peer, s scenario.Scenario, setup *peer.Setup, output *bytes.Buffer,
) (*proc.Child, error) {
	cmd, err := p.Command(setup)
	if err != nil {
		return nil, err
	}
	cmd.Stdout, cmd.Stderr = output, output
	child, err := b.spawner.Start(cmd, b.opts.proxyCPUs[:s.Procs], p.Death())
	if err != nil {
		return nil, err
	}
	limit := time.NewTimer(startTimeout)
	defer limit.Stop()
	retry := time.NewTicker(10 * time.Millisecond)
	defer retry.Stop()
	for {
		conn, err := net.Dial("tcp", address(setup.Port))
		if err == nil {
			conn.Close()
			return child, nil
		}
		select {
		case <-retry.C:
			continue
		case <-child.Exited():
			err = child.Err()
		case <-limit.C:
		case <-ctx.Done():
			err = ctx.Err()
		}
		child.Kill()
		return nil, fmt.Errorf("%s does not listen: %w\n%s", p.Name(), err, output.Bytes())
	}
}

func address(port int) string { return fmt.Sprintf("127.0.0.1:%d", port) }

// freePort finds a port below those that the kernel gives to connections, which could take it before the proxy does.
func freePort() int {
	for {
		port := 10000 + rand.IntN(20000)
		if ln, err := net.Listen("tcp", address(port)); err == nil {
			ln.Close()
			return port
		}
	}
}
