// Package proxy has the proxies of the scenarios: what an expert configures for each, and how its operator reloads it and
// takes a backend out.
package proxy

import (
	"context"
	"embed"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"
	"text/template"

	"github.com/caddylb/caddy-lb/bench/internal/peer"
	"github.com/caddylb/caddy-lb/bench/internal/proc"
)

// The directories of configs, one for each kind of service that proxies are configured for.
const (
	Service    = "service"
	RetryStorm = "retry-storm"
	Hedge      = "hedge"
	Overload   = "overload"
	Reload     = "reload"
)

// Setup is what the templates of the configurations are filled in with.
type Setup struct {
	Config       string // one of the directories
	Backends     []string
	Narrow       []string // backends of a second pool, with bounds
	Capacity     int      // requests at once that a backend can serve
	Queue        int      // requests that may wait
	Hedge        bool
	Certificates peer.Certificates

	// Filled in by Start, and by what changes the configuration.
	Port, TLSPort int
	Admin         string
	Dir           string
	Generation    int
}

// Peer is a kind of proxy.
type Peer interface {
	// Name is what the peer is called on the command line and in results.
	Name() string
	// Prepare returns the version of what will run, or with an error why the peer is absent.
	Prepare() (version string, err error)
	// Start runs the proxy and returns when it listens.
	Start(ctx context.Context, spawner *proc.Spawner, s *Setup) (Proxy, error)
}

// Proxy is a running proxy.
type Proxy interface {
	// Addr and TLSAddr are where it listens.
	Addr() string
	TLSAddr() string
	// Reload has it take up its configuration anew, which differs from the last in something that matters to nobody.
	Reload(ctx context.Context) error
	// Drain takes a backend out, and returns when the proxy says that it serves nobody any more.
	Drain(ctx context.Context, backend string) error
	// Undrain takes it in again.
	Undrain(ctx context.Context, backend string) error
	// Memory is what its processes hold in memory, in bytes.
	Memory() (int64, error)
	// Stop ends it at once.
	Stop()
}

//go:embed configs
var configs embed.FS

// write fills in a configuration and writes it to the proxy's directory.
func (s *Setup) write(name string) (string, error) {
	t, err := template.ParseFS(configs, "configs/shared.tmpl", path.Join("configs", s.Config, name))
	if err != nil {
		return "", err
	}
	var text strings.Builder
	if err := t.ExecuteTemplate(&text, name, s); err != nil {
		return "", err
	}
	file := filepath.Join(s.Dir, name)
	return file, os.WriteFile(file, []byte(text.String()), 0o600)
}

// All is every peer, in the order of the report. Caddy is the binary of the first two.
func All(caddy string) []Peer {
	return []Peer{
		Caddy{peer.Caddy{Binary: caddy, Kind: peer.LB}},
		Caddy{peer.Caddy{Binary: caddy, Kind: peer.Stock}},
		Haproxy{},
	}
}

func address(port int) string { return fmt.Sprintf("127.0.0.1:%d", port) }
