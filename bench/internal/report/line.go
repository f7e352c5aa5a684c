package report

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/caddylb/caddy-lb/bench/internal/load"
)

// Line is one run for the terminal.
func Line(round int, peer string, r *load.Result) string {
	values := make(map[string]float64)
	for _, m := range Metrics {
		values[m.Name] = m.of(r)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%2d %-9s", round, peer)
	switch {
	case r.Wall > 0:
		fmt.Fprintf(&b, " %7s µs CPU %8s/s  p50 %7s  p99 %7s  p99.9 %7s µs", number(values[CPU]), number(values[Rate]),
			number(values[P50]), number(values[P99]), number(values[P999]))
		fmt.Fprintf(&b, "  busy %.2f, load %.2f, other %.2f",
			values[ProxyBusy], values[LoadBusy], values[OtherBusy])
	case r.FrontIdle != 0:
		fmt.Fprintf(&b, " %s KiB per idle client, %s per idle backend connection", number(values[FrontIdle]), number(values[UpstreamIdle]))
	}
	fmt.Fprintf(&b, "  peak %s MiB  %d connections to %d backends", number(values[Peak]), r.Accepted, r.Used)
	for _, reason := range slices.Sorted(maps.Keys(r.Errors)) {
		fmt.Fprintf(&b, "\n   %d errors: %s", r.Errors[reason], reason)
	}
	return b.String()
}
