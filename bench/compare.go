package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/caddylb/caddy-lb/bench/internal/load"
	"github.com/caddylb/caddy-lb/bench/internal/peer"
	"github.com/caddylb/caddy-lb/bench/internal/proc"
	"github.com/caddylb/caddy-lb/bench/internal/report"
	"github.com/caddylb/caddy-lb/bench/internal/scenario"
)

// compare is the command: every peer in every scenario, and a report.
func compare(ctx context.Context, opts *options) error {
	scenarios := scenario.Matching(opts.only)
	if len(scenarios) == 0 {
		return fmt.Errorf("no scenario matches -only %s", opts.only)
	}
	b, err := newBed(opts)
	if err != nil {
		return err
	}
	defer os.RemoveAll(b.dir)
	if opts.caddy == "" {
		if opts.caddy, err = buildCaddy(ctx, opts.root, b.dir); err != nil {
			return err
		}
	} else if opts.caddy, err = filepath.Abs(opts.caddy); err != nil {
		return err
	}
	rep := &report.Report{Machine: report.ThisMachine(time.Now()), Settings: settings(opts)}
	peers, err := b.findPeers(rep)
	if err != nil {
		return err
	}
	failed := false
	for _, s := range scenarios {
		if s.Procs > len(opts.proxyCPUs) {
			fmt.Printf("%s left out: it needs %d processors for the proxy\n", s.Name, s.Procs)
			continue
		}
		result, err := b.scenario(ctx, s.WithDefaults(opts.procs, opts.rate), peers)
		if err != nil {
			return err
		}
		for _, row := range result.Rows {
			failed = failed || len(row.Errors) > 0
		}
		rep.Scenarios = append(rep.Scenarios, result)
	}
	if opts.ci {
		if failed {
			return errors.New("requests failed")
		}
		return nil
	}
	fmt.Print("\n", rep.Markdown())
	return writeReport(rep, opts)
}

func writeReport(rep *report.Report, opts *options) error {
	if err := rep.WriteJSON(opts.results); err != nil {
		return err
	}
	if opts.write == "" {
		return nil
	}
	return rep.WriteMarkdown(opts.write)
}

func settings(o *options) report.Settings {
	return report.Settings{
		Rounds: o.rounds, DurationSeconds: o.duration.Seconds(), WarmupSeconds: o.warmup.Seconds(),
		Procs: o.procs, Rate: o.rate, ProxyCPUs: o.proxyCPUs, LoadCPUs: o.loadCPUs,
	}
}

// newBed makes a directory for everything that is written while it runs.
func newBed(opts *options) (*bed, error) {
	// Explicitly set, the limit is passed on to children.
	var files unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &files); err != nil {
		return nil, err
	}
	files.Cur = files.Max
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &files); err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "caddy-lb-bench-")
	if err != nil {
		return nil, err
	}
	certificates, err := peer.NewCertificates(dir)
	return &bed{opts: opts, self: self, dir: dir, spawner: proc.NewSpawner(), certificates: certificates}, err
}

// buildCaddy builds Caddy with this suite as users get it.
func buildCaddy(ctx context.Context, root, dir string) (string, error) {
	binary := filepath.Join(dir, "caddy")
	cmd := exec.CommandContext(ctx, "go", "build", "-C", root, "-o", binary, "./cmd/caddy")
	cmd.Stderr = os.Stderr
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("build Caddy: %w", err)
	}
	return binary, nil
}

// findPeers prepares the peers asked for. One that is absent is reported; a name that no peer has is an error.
func (b *bed) findPeers(rep *report.Report) ([]peer.Peer, error) {
	all := peer.All(b.opts.caddy, b.self, filepath.Join(b.opts.root, "bench", "pingora"))
	names := make([]string, len(all))
	for i, p := range all {
		names[i] = p.Name()
	}
	for _, name := range b.opts.peers {
		if !slices.Contains(names, name) {
			return nil, fmt.Errorf("-peers: no peer is called %q: there are %s", name, strings.Join(names, ", "))
		}
	}
	var found []peer.Peer
	for _, p := range all {
		if len(b.opts.peers) > 0 && !slices.Contains(b.opts.peers, p.Name()) {
			continue
		}
		version, err := p.Prepare()
		if err != nil {
			fmt.Printf("%s is absent: %v\n", p.Name(), err)
			rep.Peers = append(rep.Peers, report.Peer{Name: p.Name(), Absent: err.Error()})
			continue
		}
		fmt.Printf("%-9s %s\n", p.Name(), version)
		rep.Peers = append(rep.Peers, report.Peer{Name: p.Name(), Version: version})
		found = append(found, p)
	}
	if len(found) == 0 {
		return nil, errors.New("no peer is present")
	}
	return found, nil
}

// scenario runs all peers in turn, round after round, so that what changes on the machine changes for all.
func (b *bed) scenario(ctx context.Context, s scenario.Scenario, peers []peer.Peer) (report.Scenario, error) {
	fmt.Printf("\n%s: %s\n", s.Name, s.About)
	runs := make(map[string][]*load.Result)
	leftOut := make(map[string]string)
	for round := range b.opts.rounds {
		for _, p := range peers {
			if leftOut[p.Name()] != "" {
				continue
			}
			r, err := b.single(ctx, p, s)
			if reason, ok := errors.AsType[lacking](err); ok {
				leftOut[p.Name()] = string(reason)
				continue
			}
			if err != nil {
				return report.Scenario{}, fmt.Errorf("%s, %s: %w", s.Name, p.Name(), err)
			}
			runs[p.Name()] = append(runs[p.Name()], r)
			fmt.Println(report.Line(round+1, p.Name(), r))
		}
	}
	result := report.Scenario{Name: s.Name, About: s.About}
	for _, p := range peers {
		if reason := leftOut[p.Name()]; reason != "" {
			result.Rows = append(result.Rows, report.Row{Peer: p.Name(), LeftOut: reason})
			continue
		}
		result.Rows = append(result.Rows, report.NewRow(p.Name(), runs[p.Name()]))
	}
	result.Compare()
	return result, nil
}
