package chaos

import (
	"context"
	"fmt"
	"path/filepath"
	"regexp"

	"github.com/caddylb/caddy-lb/bench/internal/chaos/fleet"
	"github.com/caddylb/caddy-lb/bench/internal/chaos/proxy"
	"github.com/caddylb/caddy-lb/bench/internal/peer"
	"github.com/caddylb/caddy-lb/bench/internal/proc"
)

// Scenario is one way in which things go wrong.
type Scenario struct {
	Name string
	// About is what happens, in sentences, for the report.
	About string
	run   func(ctx context.Context, b *Bed, p proxy.Peer) ([]Figure, error)
}

// All is every scenario, in the order of the report.
var All = []Scenario{faultsScenario, rollingScenario, reloadScenario, stormScenario, hedgeScenario, overloadScenario}

// Matching is the scenarios whose name an expression matches.
func Matching(only *regexp.Regexp) []Scenario {
	var found []Scenario
	for _, s := range All {
		if only.MatchString(s.Name) {
			found = append(found, s)
		}
	}
	return found
}

// Bed is where scenarios take place.
type Bed struct {
	Dir          string // for configurations and what proxies say
	Spawner      *proc.Spawner
	Certificates peer.Certificates
	// Short runs take a few seconds each, and what is wanted of them is less.
	Short bool

	runs int
}

// Run is a scenario with one peer.
func (b *Bed) Run(ctx context.Context, s Scenario, p proxy.Peer) ([]Figure, error) {
	return s.run(ctx, b, p)
}

// start has a peer run in a directory of its own.
func (b *Bed) start(ctx context.Context, p proxy.Peer, s *proxy.Setup) (proxy.Proxy, error) {
	b.runs++
	s.Dir = filepath.Join(b.Dir, fmt.Sprintf("%d-%s-%s", b.runs, s.Config, p.Name()))
	s.Certificates = b.Certificates
	return p.Start(ctx, b.Spawner, s)
}

// site is backends and a proxy in front of them.
type site struct {
	proxy.Proxy
	fleet fleet.Fleet
}

// open starts backends, and a peer with a setup for them.
func (b *Bed) open(ctx context.Context, p proxy.Peer, n int, o fleet.Options, s *proxy.Setup) (*site, error) {
	f, err := fleet.Start(n, o)
	if err != nil {
		return nil, err
	}
	s.Backends = f.Addresses()
	running, err := b.start(ctx, p, s)
	if err != nil {
		f.Close()
		return nil, err
	}
	return &site{running, f}, nil
}

func (s *site) close() {
	s.Stop()
	s.fleet.Close()
}

// times chooses between a full run and a short one.
func times[T any](b *Bed, full, short T) T {
	if b.Short {
		return short
	}
	return full
}
