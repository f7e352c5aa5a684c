package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// options are the command's flags.
type options struct {
	rounds    int
	duration  time.Duration
	warmup    time.Duration
	only      *regexp.Regexp
	peers     []string // all if empty
	procs     int
	rate      int
	proxyCPUs []int
	loadCPUs  []int
	ci        bool
	caddy     string // a binary, instead of one built from the checkout
	results   string
	write     string
	root      string
}

func parseOptions(args []string) (*options, error) {
	o := &options{}
	fs := flag.NewFlagSet("bench", flag.ContinueOnError)
	fs.IntVar(&o.rounds, "rounds", 5, "how often each peer is measured in each scenario; medians are reported")
	fs.DurationVar(&o.duration, "duration", 3*time.Second, "time measured in each run")
	fs.DurationVar(&o.warmup, "warmup", 500*time.Millisecond, "time before that")
	only := fs.String("only", "", "regular expression of the `scenarios` to run; default all")
	peers := fs.String("peers", "", "comma-separated `names` of the peers to run; default all")
	fs.IntVar(&o.procs, "procs", 1, "processors of the proxy, where the scenario does not say")
	fs.IntVar(&o.rate, "rate", 0, "requests a `second` at a fixed rate in all scenarios; default one after the other")
	proxyCPUs := fs.String("proxy-cpus", "0,1", "processors that the proxy may have, of which it gets the first ones")
	loadCPUs := fs.String("load-cpus", "1", "processors for clients and backends")
	fs.BoolVar(&o.ci, "ci", false, "smoke test: one round of 100ms each, which fails if a request does; writes no results")
	fs.StringVar(&o.caddy, "caddy", "", "Caddy `binary` to measure; default one built from the checkout")
	fs.StringVar(&o.results, "results", "results/latest.json", "JSON `file` for the results")
	fs.StringVar(&o.write, "write", "", "markdown `file` between whose markers the tables are put")
	fs.StringVar(&o.root, "root", "..", "the checkout's root")
	if err := fs.Parse(args); err != nil {
		return nil, err
	}
	if fs.NArg() > 0 {
		return nil, fmt.Errorf("unexpected argument %q", fs.Arg(0))
	}
	var err error
	if o.only, err = regexp.Compile(*only); err != nil {
		return nil, fmt.Errorf("-only: %w", err)
	}
	if *peers != "" {
		o.peers = strings.Split(*peers, ",")
	}
	if o.proxyCPUs, err = cpuList(*proxyCPUs); err != nil {
		return nil, fmt.Errorf("-proxy-cpus: %w", err)
	}
	if o.loadCPUs, err = cpuList(*loadCPUs); err != nil {
		return nil, fmt.Errorf("-load-cpus: %w", err)
	}
	if o.ci {
		o.rounds, o.duration, o.warmup = 1, 100*time.Millisecond, 0
	}
	if err := o.check(); err != nil {
		return nil, err
	}
	return o, nil
}

func (o *options) check() error {
	switch {
	case o.rounds < 1:
		return errors.New("-rounds must be at least 1")
	case o.duration <= 0 || o.warmup < 0:
		return errors.New("-duration must be positive and -warmup not negative")
	case o.procs < 1 || o.procs > len(o.proxyCPUs):
		return fmt.Errorf("-procs %d, but -proxy-cpus has %d", o.procs, len(o.proxyCPUs))
	case o.rate < 0 || o.rate > 1_000_000:
		return errors.New("-rate must be between 0 and 1,000,000")
	}
	if _, err := os.Stat(filepath.Join(o.root, "cmd", "caddy")); err != nil {
		return fmt.Errorf("no checkout at %s: run this from its root with go run -C bench . [flags]", o.root)
	}
	return nil
}

// cpuList reads numbers separated by commas.
func cpuList(text string) ([]int, error) {
	var cpus []int
	for field := range strings.SplitSeq(text, ",") {
		n, err := strconv.Atoi(strings.TrimSpace(field))
		if err != nil || n < 0 || n > 1023 {
			return nil, fmt.Errorf("%q is no processor: write numbers separated by commas", field)
		}
		cpus = append(cpus, n)
	}
	return cpus, nil
}
