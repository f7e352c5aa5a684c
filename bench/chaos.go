package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/caddylb/caddy-lb/bench/internal/chaos"
	"github.com/caddylb/caddy-lb/bench/internal/chaos/proxy"
	"github.com/caddylb/caddy-lb/bench/internal/report"
)

// chaosOptions are the flags of the command chaos.
type chaosOptions struct {
	options
	keep bool
}

func parseChaosOptions(args []string) (*chaosOptions, error) {
	o := &chaosOptions{}
	fs := flag.NewFlagSet("bench chaos", flag.ContinueOnError)
	scenarios := fs.String("scenario", "", "regular expression of the `scenarios` to run; default all")
	peers := fs.String("peers", "", "comma-separated `names` of the peers to run: lb, stock, haproxy; default all")
	fs.BoolVar(&o.ci, "ci", false, "a few seconds for each scenario, lb alone unless -peers says otherwise; fails if it does not do what is wanted, with some slack")
	fs.BoolVar(&o.keep, "keep", false, "keep the directory with configurations and logs")
	fs.StringVar(&o.caddy, "caddy", "", "Caddy `binary` to run; default one built from the checkout")
	fs.StringVar(&o.results, "results", "results/chaos.json", "JSON `file` for the results; none with -ci")
	fs.StringVar(&o.write, "write", "", "markdown `file` between whose markers the tables are put")
	fs.StringVar(&o.root, "root", "..", "the checkout's root")
	if err := fs.Parse(args); err != nil {
		return nil, err
	}
	if fs.NArg() > 0 {
		return nil, fmt.Errorf("unexpected argument %q", fs.Arg(0))
	}
	var err error
	if o.only, err = regexp.Compile(*scenarios); err != nil {
		return nil, fmt.Errorf("-scenario: %w", err)
	}
	switch {
	case *peers != "":
		o.peers = strings.Split(*peers, ",")
	case o.ci:
		o.peers = []string{"lb"}
	}
	if _, err := os.Stat(filepath.Join(o.root, "cmd", "caddy")); err != nil {
		return nil, fmt.Errorf("no checkout at %s: run this from its root with go run -C bench . chaos [flags]", o.root)
	}
	return o, nil
}

// runChaos is the command: every scenario with every peer, and a report.
func runChaos(ctx context.Context, opts *chaosOptions) error {
	scenarios := chaos.Matching(opts.only)
	if len(scenarios) == 0 {
		return fmt.Errorf("no scenario matches -scenario %s", opts.only)
	}
	b, err := newBed(&opts.options)
	if err != nil {
		return err
	}
	if opts.keep {
		fmt.Println("configurations and logs are kept in", b.dir)
	} else {
		defer os.RemoveAll(b.dir)
	}
	if opts.caddy == "" {
		opts.caddy, err = buildCaddy(ctx, opts.root, b.dir)
	} else {
		opts.caddy, err = filepath.Abs(opts.caddy)
	}
	if err != nil {
		return err
	}
	rep := &chaos.Report{Machine: report.ThisMachine(time.Now())}
	peers, err := chaosPeers(opts, rep)
	if err != nil {
		return err
	}
	bed := &chaos.Bed{Dir: b.dir, Spawner: b.spawner, Certificates: b.certificates, Short: opts.ci}
	var unmet []string
	for _, s := range scenarios {
		result, missed, err := chaosScenario(ctx, bed, s, peers)
		if err != nil {
			return err
		}
		rep.Scenarios = append(rep.Scenarios, result)
		unmet = append(unmet, missed...)
	}
	return finishChaos(opts, rep, unmet)
}

// finishChaos writes the report, and says what lb_proxy did not reach.
func finishChaos(opts *chaosOptions, rep *chaos.Report, unmet []string) error {
	fmt.Print("\n", rep.Markdown())
	if !opts.ci {
		if err := report.WriteJSON(opts.results, rep); err != nil {
			return err
		}
	}
	if opts.write != "" {
		if err := report.WriteMarkdown(opts.write, rep.Markdown()); err != nil {
			return err
		}
	}
	if len(unmet) > 0 {
		return errors.New("not as wanted:\n" + strings.Join(unmet, "\n"))
	}
	return nil
}

// chaosPeers is the peers asked for that are present.
func chaosPeers(opts *chaosOptions, rep *chaos.Report) ([]proxy.Peer, error) {
	var found []proxy.Peer
	unknown := slices.Clone(opts.peers)
	for _, p := range proxy.All(opts.caddy) {
		unknown = slices.DeleteFunc(unknown, func(name string) bool { return name == p.Name() })
		if len(opts.peers) > 0 && !slices.Contains(opts.peers, p.Name()) {
			continue
		}
		version, err := p.Prepare()
		if err != nil {
			fmt.Printf("%s is absent: %v\n", p.Name(), err)
			rep.Peers = append(rep.Peers, report.Peer{Name: p.Name(), Absent: err.Error()})
			continue
		}
		rep.Peers = append(rep.Peers, report.Peer{Name: p.Name(), Version: version})
		found = append(found, p)
	}
	if len(unknown) > 0 {
		return nil, fmt.Errorf("-peers: no peer is called %s", strings.Join(unknown, ", "))
	}
	if len(found) == 0 {
		return nil, errors.New("no peer is present")
	}
	return found, nil
}

// chaosScenario runs the peers one after the other. What lb lacks of what is wanted comes with the result; a peer that
// does not even run is part of it.
func chaosScenario(ctx context.Context, bed *chaos.Bed, s chaos.Scenario, peers []proxy.Peer) (chaos.Result, []string, error) {
	result := chaos.Result{Name: s.Name, About: s.About}
	var unmet []string
	for _, p := range peers {
		fmt.Printf("\n%s, %s\n", s.Name, p.Name())
		figures, err := bed.Run(ctx, s, p)
		if ctx.Err() != nil {
			return result, nil, ctx.Err()
		}
		row := chaos.Row{Peer: p.Name(), Figures: figures}
		if err != nil {
			row.Failed = err.Error()
			fmt.Println("  did not run:", err)
		}
		for _, f := range figures {
			fmt.Printf("  %-70s %s", f.Name, f.Text())
			if f.Note != "" {
				fmt.Printf(" (%s)", f.Note)
			}
			fmt.Println()
			if missed := f.Unmet(bed.Short); missed != "" && p.Name() == "lb" {
				unmet = append(unmet, s.Name+": "+missed)
			}
		}
		if err != nil && p.Name() == "lb" {
			unmet = append(unmet, s.Name+": did not run: "+firstLine(err))
		}
		result.Rows = append(result.Rows, row)
	}
	return result, unmet, nil
}

func firstLine(err error) string {
	line, _, _ := strings.Cut(err.Error(), "\n")
	return line
}
