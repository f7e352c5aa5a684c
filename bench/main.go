// Command bench compares caddy-lb with other proxies on one machine, side by side. It is run from the root of the
// checkout as
//
//	go run -C bench . [flags]
//
// docs/benchmark.md says what it measures, and how.
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
	opts, err := parseOptions(args)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	return compare(ctx, opts)
}
