// Package report gathers the runs of the benchmark, makes medians and ratios of them, and writes them as JSON and
// as markdown.
package report

import (
	"slices"

	"github.com/caddylb/caddy-lb/bench/internal/load"
	"github.com/caddylb/caddy-lb/bench/internal/stats"
)

// Report is everything that a command measured.
type Report struct {
	Machine   Machine    `json:"machine"`
	Settings  Settings   `json:"settings"`
	Peers     []Peer     `json:"peers"`
	Scenarios []Scenario `json:"scenarios"`
}

// Settings are the flags that matter for the figures.
type Settings struct {
	Rounds          int     `json:"rounds"`
	DurationSeconds float64 `json:"duration_seconds"`
	WarmupSeconds   float64 `json:"warmup_seconds"`
	Procs           int     `json:"procs"`
	Rate            int     `json:"rate,omitempty"`
	ProxyCPUs       []int   `json:"proxy_cpus"`
	LoadCPUs        []int   `json:"load_cpus"`
}

// Peer is what was compared, or why it was not.
type Peer struct {
	Name    string `json:"name"`
	Version string `json:"version,omitempty"`
	Absent  string `json:"absent,omitempty"`
}

// Scenario has the figures of one scenario.
type Scenario struct {
	Name  string `json:"name"`
	About string `json:"about"`
	Rows  []Row  `json:"peers"`
}

// Row has the medians of one peer in one scenario.
type Row struct {
	Peer    string             `json:"peer"`
	LeftOut string             `json:"left_out,omitempty"`
	Rounds  int                `json:"rounds,omitempty"`
	Median  map[string]float64 `json:"median,omitempty"`
	Errors  map[string]int64   `json:"errors,omitempty"` // of all rounds
	// The medians divided by those of another peer, where both are above 0.
	ToStock map[string]float64 `json:"to_stock,omitempty"`
	ToNginx map[string]float64 `json:"to_nginx,omitempty"`
}

// Metric is one of the figures of a row.
type Metric struct {
	Name string
	of   func(*load.Result) float64
}

// The metrics, by their names in JSON.
const (
	CPU          = "cpu_us_per_request"
	Rate         = "requests_per_second"
	P50          = "p50_us"
	P99          = "p99_us"
	P999         = "p99_9_us"
	Peak         = "peak_memory_mib"
	FrontIdle    = "front_idle_kib"
	UpstreamIdle = "upstream_idle_kib"
	Accepted     = "backend_connections"
	Used         = "backends_used"
	Errors       = "errors"
	ProxyBusy    = "proxy_cpus_busy"
	LoadBusy     = "load_cpus_busy"
	OtherBusy    = "other_cpus_busy"
)

// Metrics is every metric, in the order of the report.
var Metrics = []Metric{
	{CPU, func(r *load.Result) float64 { return per(float64(r.ProxyCPU)/1e3, float64(r.Requests)) }},
	{Rate, func(r *load.Result) float64 { return per(float64(r.Requests), r.Wall.Seconds()) }},
	{P50, func(r *load.Result) float64 { return float64(r.P50) / 1e3 }},
	{P99, func(r *load.Result) float64 { return float64(r.P99) / 1e3 }},
	{P999, func(r *load.Result) float64 { return float64(r.P999) / 1e3 }},
	{Peak, func(r *load.Result) float64 { return float64(r.Peak) / (1 << 20) }},
	{FrontIdle, func(r *load.Result) float64 { return r.FrontIdle / (1 << 10) }},
	{UpstreamIdle, func(r *load.Result) float64 { return r.UpstreamIdle / (1 << 10) }},
	{Accepted, func(r *load.Result) float64 { return float64(r.Accepted) }},
	{Used, func(r *load.Result) float64 { return float64(r.Used) }},
	{Errors, func(r *load.Result) float64 { return float64(sum(r.Errors)) }},
	{ProxyBusy, func(r *load.Result) float64 { return per(float64(r.ProxyCPU), float64(r.Wall)) }},
	{LoadBusy, func(r *load.Result) float64 { return per(float64(r.LoadCPU), float64(r.Wall)) }},
	{OtherBusy, func(r *load.Result) float64 { return per(float64(r.OtherCPU), float64(r.Wall)) }},
}

func per(a, b float64) float64 {
	if b == 0 {
		return 0
	}
	return a / b
}

func sum(errors map[string]int64) int64 {
	var n int64
	for _, count := range errors {
		n += count
	}
	return n
}

// NewRow makes medians of a peer's runs.
func NewRow(peer string, runs []*load.Result) Row {
	row := Row{Peer: peer, Rounds: len(runs), Median: make(map[string]float64), Errors: make(map[string]int64)}
	for _, m := range Metrics {
		values := make([]float64, len(runs))
		for i, r := range runs {
			values[i] = m.of(r)
		}
		// Errors in one round of five are not to vanish.
		if m.Name == Errors {
			row.Median[m.Name] = slices.Max(values)
		} else {
			row.Median[m.Name] = stats.Median(values)
		}
	}
	for _, r := range runs {
		for reason, n := range r.Errors {
			row.Errors[reason] += n
		}
	}
	return row
}

// Compare fills in the ratios of a scenario's rows.
func (s *Scenario) Compare() {
	stock, nginx := s.row("stock"), s.row("nginx")
	for i := range s.Rows {
		s.Rows[i].ToStock = ratios(s.Rows[i].Median, stock)
		s.Rows[i].ToNginx = ratios(s.Rows[i].Median, nginx)
	}
}

// row is the medians of a peer, nil if it has none.
func (s *Scenario) row(peer string) map[string]float64 {
	for _, r := range s.Rows {
		if r.Peer == peer {
			return r.Median
		}
	}
	return nil
}

func ratios(values, base map[string]float64) map[string]float64 {
	found := make(map[string]float64)
	for name, v := range values {
		if b := base[name]; v > 0 && b > 0 {
			found[name] = v / b
		}
	}
	return found
}
