package lbproxy

import (
	"testing"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddylb/caddy-lb/modules/filter"
)

func init() { caddy.RegisterModule(new(idleFilter)) }

// idleFilter is a filter of one phase that does nothing.
type idleFilter struct{}

// CaddyModule returns the Caddy module information.
func (*idleFilter) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.lb_proxy.filters.idle", New: func() caddy.Module { return new(idleFilter) }}
}

func (*idleFilter) Request(*filter.Context) (bool, error) { return false, nil }

// filterConfigs are the configurations that the cost of filters shows in.
func filterConfigs(t testing.TB) map[string]string {
	backend := upstreams("http://" + frugalBackend(t))
	return map[string]string{
		"none":             backend,
		"request":          backend + `,"filters":[{"filter":"idle"}]`,
		"upstream_request": backend + `,"filters":[{"filter":"upstream_request"}]`,
		"response":         backend + `,"filters":[{"filter":"response"}]`,
	}
}

// BenchmarkFilters shows what filters cost that do nothing.
func BenchmarkFilters(b *testing.B) {
	for name, config := range filterConfigs(b) {
		b.Run(name, func(b *testing.B) {
			serve := served(b, "http.handlers.lb_proxy", config)
			b.ReportAllocs()
			for b.Loop() {
				serve()
			}
		})
	}
}

// A filter of the request phase costs the context that all filters share, and no phase that nobody filters costs anything.
func TestFilterAllocations(t *testing.T) {
	allocations := make(map[string]float64)
	for name, config := range filterConfigs(t) {
		allocations[name] = testing.AllocsPerRun(200, served(t, "http.handlers.lb_proxy", config))
	}
	if more := allocations["request"] - allocations["none"]; more > 3 {
		t.Errorf("a filter of one phase costs %v allocations, more than 3", more)
	}
}
