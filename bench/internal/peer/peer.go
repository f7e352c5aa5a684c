// Package peer has the proxies that the benchmark compares: how each is found, configured and started, so that all do
// the same work with the same means.
package peer

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
)

// Setup is one configuration that a peer is to run with.
type Setup struct {
	Dir          string // for configuration, logs and state
	Port         int    // to listen on, at 127.0.0.1
	TLS          bool   // in front, with HTTP/2 and HTTP/1.1
	H2           bool   // is what the clients speak
	WebSocket    bool
	Upstreams    []string // addresses
	UpstreamTLS  bool
	Consistent   bool     // backends are chosen by a consistent hash of the path, else in turn
	Sites        []string // hosts that are configured apart; one site for all of them if empty
	Procs        int
	Idle         int  // connections to backends that are kept
	Answer       int  // bytes in an answer
	Upload       int  // bytes in a request's body
	IdleMemory   bool // is what is measured
	Certificates Certificates
}

// Peer is a proxy to compare.
type Peer interface {
	// Name is what the peer is called on the command line and in results.
	Name() string
	// Prepare makes the peer ready to start. It returns what will run, or with an error why the peer is absent.
	Prepare() (version string, err error)
	// Lacks says why the peer cannot do what a setup asks for, or nothing.
	Lacks(s *Setup) string
	// Command writes the configuration and returns what to start, in the foreground.
	Command(s *Setup) (*exec.Cmd, error)
	// Death is the signal on which the peer ends at once, with its workers.
	Death() syscall.Signal
}

// All is every peer, in the order of the report. Caddy is the binary of the first three; self is the benchmark's own.
func All(caddy, self, pingoraSource string) []Peer {
	return []Peer{
		Caddy{Binary: caddy, Kind: LB},
		Caddy{Binary: caddy, Kind: Stock},
		Caddy{Binary: caddy, Kind: Respond},
		Nginx{},
		Haproxy{},
		Fasthttp{Self: self},
		Pingora{Source: pingoraSource},
	}
}

// write puts a configuration file where the peer finds it.
func (s *Setup) write(name, text string) (string, error) {
	path := filepath.Join(s.Dir, name)
	return path, os.WriteFile(path, []byte(text), 0o600)
}

// writeJSON is write for a configuration in JSON.
func (s *Setup) writeJSON(name string, config any) (string, error) {
	text, err := json.Marshal(config)
	if err != nil {
		return "", err
	}
	return s.write(name, string(text))
}
