package lbproxy

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

// counters are the values of a family of counters over all pools, by the other label.
func counters(t *testing.T, family string) map[string]float64 {
	t.Helper()
	registry := prometheus.NewRegistry()
	registry.MustRegister(collector{})
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	values := make(map[string]float64)
	for _, f := range families {
		if f.GetName() != family {
			continue
		}
		for _, m := range f.GetMetric() {
			label := ""
			for _, l := range m.GetLabel() {
				if l.GetName() != "pool" {
					label = l.GetValue()
				}
			}
			values[label] += m.GetCounter().GetValue()
		}
	}
	return values
}

func TestMetricsOfRequests(t *testing.T) {
	slow, _ := hanging(t)
	c := startCopies(t)
	p := startProxy(t, upstreams(slow.URL, answering(t, 503, "busy").URL, startBackend(t, text("fast")).URL)+
		balancing(`"retry_on":["503","timeout"],"try_timeout":"50ms","retry_budget":{"percent":50,"min_per_second":0}`)+
		`,"hedge":{"delay":"5ms","max_percent":100},"mirror":[{"to":"`+c.URL+`","percent":100}]`)
	for range 4 {
		p.get("/") // hedged with 503, so that the first is waited for; then tried again, every second time
	}
	if v := counters(t, "caddy_lb_hedges_total"); v["won"]+v["lost"] != 4 {
		t.Errorf("hedges %v", v)
	}
	if v := counters(t, "caddy_lb_retries_total"); v[""] != 2 {
		t.Errorf("retries %v", v)
	}
	if v := counters(t, "caddy_lb_retries_denied_total"); v["budget"] != 2 || v["limit"] != 0 {
		t.Errorf("denied %v", v)
	}
	eventually(t, "four copies", func() bool { return counters(t, "caddy_lb_mirrored_total")["answered"] == 4 })
}

// Counters that alerts are about begin at 0. Those of what never happens in most pools begin when
// it happens.
func TestMetricsLeaveOutWhatNeverHappens(t *testing.T) {
	one, two := startBackend(t, text("1")), startBackend(t, text("2"))
	p := startProxy(t, upstreams(one.URL, two.URL))
	p.get("/")
	for family, want := range map[string]string{
		"caddy_lb_requests_total":       "2xx 4xx 5xx error",
		"caddy_lb_failures_total":       "broken connect protocol timeout",
		"caddy_lb_retries_total":        "",
		"caddy_lb_retries_denied_total": "none",
		"caddy_lb_hedges_total":         "none",
		"caddy_lb_mirrored_total":       "none",
		"caddy_lb_shed_total":           "none",
	} {
		v := counters(t, family)
		got := strings.Join(slices.Sorted(maps.Keys(v)), " ")
		if len(v) == 0 {
			got = "none"
		}
		if got != want {
			t.Errorf("%s has %q, want %q", family, got, want)
		}
	}
}
