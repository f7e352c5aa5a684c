// Command bench compares caddy-lb with other proxies on one machine, side by side. It is run from the root of the
// checkout as
//
//	go run -C bench . [flags]
//	go run -C bench . chaos [flags]
//
// docs/benchmark.md says what the first measures, and how. The second has backends die, hang, fail, restart and fill up; its scenarios
// are in internal/chaos.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/caddylb/caddy-lb/bench/internal/fastproxy"
	"github.com/caddylb/caddy-lb/bench/internal/load"
	"github.com/caddylb/caddy-lb/bench/internal/peer"
)

// loadCommand is the argument with which this binary becomes the process of clients and backends.
const loadCommand = "load"

// chaosCommand is the argument with which scenarios of faults run instead of the comparison of costs.
const chaosCommand = "chaos"

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	switch {
	case len(args) == 1 && args[0] == loadCommand:
		return load.Serve(os.Stdin, os.Stdout)
	case len(args) == 2 && args[0] == peer.FasthttpCommand:
		return fastproxy.Serve(args[1])
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if len(args) > 0 && args[0] == chaosCommand {
		opts, err := parseChaosOptions(args[1:])
		if err != nil {
			return err
		}
		return runChaos(ctx, opts)
	}
	opts, err := parseOptions(args)
	if err != nil {
		return err
	}
	return compare(ctx, opts)
}
