package peer

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

// Pingora is the load balancer of bench/pingora, built with cargo when the benchmark first needs it.
type Pingora struct{ Source string }

// Name implements Peer.
func (Pingora) Name() string { return "pingora" }

// Death implements Peer.
func (Pingora) Death() syscall.Signal { return syscall.SIGKILL }

// target is where cargo builds: outside of the checkout, and kept between runs, for it takes minutes.
func (Pingora) target() (string, error) {
	cache, err := os.UserCacheDir()
	return filepath.Join(cache, "caddy-lb-bench", "pingora"), err
}

// Prepare implements Peer. It builds at the lowest priority with one job, so that a machine in use stays usable.
func (p Pingora) Prepare() (string, error) {
	target, err := p.target()
	if err != nil {
		return "", err
	}
	lock, err := os.ReadFile(filepath.Join(p.Source, "Cargo.lock"))
	if err != nil {
		return "", err
	}
	if _, err := exec.LookPath("cargo"); err != nil {
		return "", err
	}
	cmd := exec.Command("nice", "-n", "19", "cargo", "build", "--release", "--locked", "--quiet", "-j", "1", "--target-dir", target)
	cmd.Dir = p.Source
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("cargo build: %w\n%s", err, out)
	}
	_, rest, ok := strings.Cut(string(lock), "name = \"pingora\"\nversion = \"")
	version, _, ok2 := strings.Cut(rest, "\"")
	if !ok || !ok2 {
		return "", errors.New("no version of pingora in Cargo.lock")
	}
	return "Pingora " + version, nil
}

// Lacks implements Peer.
func (Pingora) Lacks(*Setup) string { return "" }

// pingoraConfig is read by bench/pingora/src/main.rs.
type pingoraConfig struct {
	Listen     string   `json:"listen"`
	Threads    int      `json:"threads"`
	Idle       int      `json:"idle"`
	Cert       string   `json:"cert"`
	Key        string   `json:"key"`
	Upstreams  []string `json:"upstreams"`
	CA         string   `json:"ca"`
	ServerName string   `json:"server_name"`
	Consistent bool     `json:"consistent"`
	Sites      []string `json:"sites"`
}

// Command implements Peer.
func (p Pingora) Command(s *Setup) (*exec.Cmd, error) {
	config := pingoraConfig{
		Listen: fmt.Sprintf("127.0.0.1:%d", s.Port), Threads: s.Procs, Idle: s.Idle,
		Upstreams: s.Upstreams, Consistent: s.Consistent, Sites: s.Sites,
	}
	if s.TLS {
		config.Cert, config.Key = s.Certificates.Cert, s.Certificates.Key
	}
	if s.UpstreamTLS {
		config.CA, config.ServerName = s.Certificates.Cert, ServerName
	}
	file, err := s.writeJSON("pingora.json", config)
	if err != nil {
		return nil, err
	}
	target, err := p.target()
	if err != nil {
		return nil, err
	}
	return exec.Command(filepath.Join(target, "release", "bench-pingora"), file), nil
}
