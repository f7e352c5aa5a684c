package peer

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime/debug"
	"syscall"

	"github.com/caddylb/caddy-lb/bench/internal/fastproxy"
)

// FasthttpCommand is the argument with which the benchmark's own binary becomes the fasthttp peer.
const FasthttpCommand = "fasthttp-proxy"

// Fasthttp is a small reverse proxy on fasthttp: what Go can do when little is asked of it.
type Fasthttp struct{ Self string }

// Name implements Peer.
func (Fasthttp) Name() string { return "fasthttp" }

// Death implements Peer.
func (Fasthttp) Death() syscall.Signal { return syscall.SIGKILL }

// Prepare implements Peer.
func (Fasthttp) Prepare() (string, error) {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "", errors.New("the benchmark was built without module information")
	}
	for _, m := range info.Deps {
		if m.Path == "github.com/valyala/fasthttp" {
			return "fasthttp " + m.Version, nil
		}
	}
	return "", errors.New("fasthttp is not linked")
}

// Lacks implements Peer.
func (Fasthttp) Lacks(s *Setup) string {
	switch {
	case s.H2:
		return "has no HTTP/2"
	case s.WebSocket:
		return "has no WebSocket"
	case s.Consistent:
		return "has no consistent hash"
	}
	return ""
}

// Command implements Peer.
func (f Fasthttp) Command(s *Setup) (*exec.Cmd, error) {
	const large = 64 << 10
	config := fastproxy.Config{
		Listen: fmt.Sprintf("127.0.0.1:%d", s.Port), Upstreams: s.Upstreams, Sites: s.Sites, Idle: s.Idle,
		Stream: s.Answer > large || s.Upload > large,
	}
	if s.TLS {
		config.Cert, config.Key = s.Certificates.Cert, s.Certificates.Key
	}
	if s.UpstreamTLS {
		config.CA, config.ServerName = s.Certificates.Cert, ServerName
	}
	file, err := s.writeJSON("fasthttp.json", config)
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(f.Self, FasthttpCommand, file)
	cmd.Env = append(os.Environ(), fmt.Sprintf("GOMAXPROCS=%d", s.Procs))
	return cmd, nil
}
