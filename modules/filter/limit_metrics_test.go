package filter

import (
	"bytes"
	"context"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/expfmt"

	"github.com/caddylb/caddy-lb/internal/module"
)

func TestLimitMetrics(t *testing.T) {
	l := newTimed(t, "rate_limit {client_ip} 2/m {\n name measured\n}")
	for range 3 {
		l.ask(t, "192.0.2.1")
	}
	dry := newTimed(t, "rate_limit {client_ip} 2/m {\n name measured\n dry_run\n}") // the same limit
	dry.ask(t, "192.0.2.1")
	other := newTimed(t, "rate_limit {client_ip} 3/m {\n name measured\n}") // one more of that name
	other.ask(t, "192.0.2.1")
	_, c := newInflight(t, "max_inflight {client_ip} 1 {\n name measured_too\n}")
	_, end := inflight(t, c, "192.0.2.1")
	inflight(t, c, "192.0.2.1")
	defer end()

	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(limitCollector{})
	want := map[string]string{
		`caddy_lb_rate_limit_total{limit="measured",result="allowed"}`:        "3",
		`caddy_lb_rate_limit_total{limit="measured",result="refused"}`:        "1",
		`caddy_lb_rate_limit_total{limit="measured",result="dry_run"}`:        "1",
		`caddy_lb_rate_limit_total{limit="measured",result="local_fallback"}`: "0",
		`caddy_lb_rate_limit_evicted_total{limit="measured"}`:                 "0",
		`caddy_lb_max_inflight_total{limit="measured_too",result="allowed"}`:  "1",
		`caddy_lb_max_inflight_total{limit="measured_too",result="refused"}`:  "1",
		`caddy_lb_max_inflight_requests{limit="measured_too"}`:                "1",
	}
	for series, value := range exposed(t, registry) {
		if w, ok := want[series]; ok && w == value {
			delete(want, series)
		}
	}
	for series, value := range want {
		t.Errorf("%s is not %s: %v", series, value, exposed(t, registry))
	}
}

// exposed is what a registry tells, as series and values.
func exposed(t *testing.T, registry *prometheus.Registry) map[string]string {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var text bytes.Buffer
	for _, family := range families {
		if _, err := expfmt.MetricFamilyToText(&text, family); err != nil {
			t.Fatal(err)
		}
	}
	series := make(map[string]string)
	for line := range strings.Lines(text.String()) {
		if i := strings.LastIndexByte(line, ' '); i > 0 && line[0] != '#' {
			series[line[:i]] = strings.TrimSpace(line[i:])
		}
	}
	return series
}

// TestMetricsAreRegisteredOnce: a configuration has many limits and one registry, or none.
func TestMetricsAreRegisteredOnce(t *testing.T) {
	ctx, cancel := caddy.NewContext(caddy.Context{Context: context.Background()})
	defer cancel()
	for range 2 {
		if err := module.RegisterMetrics(ctx, limitCollector{}); err != nil {
			t.Error(err)
		}
	}
	if ctx.GetMetricsRegistry() == nil {
		t.Error("the context has no registry")
	}
	if err := module.RegisterMetrics(caddy.Context{}, limitCollector{}); err != nil {
		t.Error(err)
	}
}
