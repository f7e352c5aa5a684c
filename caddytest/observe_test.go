package caddytest

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// metric is the value of one series with exactly these labels, given as name, value, name, value. It fails
// the test when there is none.
func (s *Server) metric(name string, labels ...string) float64 {
	s.t.Helper()
	r := s.Admin(http.MethodGet, "/metrics", "")
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(r.Body))
	if err != nil {
		s.t.Fatal(err)
	}
	for _, m := range families[name].GetMetric() {
		var have []string
		for _, l := range m.GetLabel() {
			have = append(have, l.GetName()+"="+l.GetValue())
		}
		var want []string
		for i := 0; i < len(labels); i += 2 {
			want = append(want, labels[i]+"="+labels[i+1])
		}
		slices.Sort(have)
		slices.Sort(want)
		if !slices.Equal(have, want) {
			continue
		}
		switch {
		case m.GetHistogram() != nil:
			return float64(m.GetHistogram().GetSampleCount())
		case m.GetCounter() != nil:
			return m.GetCounter().GetValue()
		default:
			return m.GetGauge().GetValue()
		}
	}
	s.t.Fatalf("no metric %s with %v", name, labels)
	return 0
}

func TestMetrics(t *testing.T) {
	b := NewBackends(t, "A", "B", "C")
	s := Start(t, reloadable, addresses(b...))
	series := func(name string, of *Backend, labels ...string) float64 {
		t.Helper()
		return s.metric("caddy_lb_"+name, append([]string{"pool", "p", "backend", of.Addr}, labels...)...)
	}
	s.spread(s.URL("PORT", "/"), 50)
	if got := series("requests_total", b[0], "code", "2xx"); got != 30 {
		t.Errorf("A has %v requests, want 30", got)
	}
	if got := series("latency_seconds", b[1]); got != 10 {
		t.Errorf("B has %v latencies, want 10", got)
	}
	if got := series("backend_weight", b[0]); got != 3 {
		t.Errorf("A has weight %v, want 3", got)
	}
	eventually(t, "checks are counted", func() bool {
		return series("checks_total", b[0], "kind", "http", "result", "pass") > 1
	})

	b[0].SetHealth(http.StatusServiceUnavailable)
	s.waitState("p", b[0].Addr, "down")
	if up := series("backend_up", b[0]); up != 0 {
		t.Errorf("A is down and backend_up is %v", up)
	}
	if n := series("checks_total", b[0], "kind", "http", "result", "fail"); n < 3 {
		t.Errorf("A failed %v checks, want at least 3", n)
	}
	s.patch("p", b[1].Addr, `{"drain":true}`)
	if drained := series("backend_drained", b[1]); drained != 1 {
		t.Errorf("B is drained and backend_drained is %v", drained)
	}

	// C breaks each connection, and the clients are told.
	b[2].Do(hangUp)
	for range 5 {
		if r := s.do(newRequest(t, http.MethodPost, s.URL("PORT", "/"), "x")); r.Status != http.StatusBadGateway {
			t.Fatalf("status %d from a backend that hangs up, want 502", r.Status)
		}
	}
	if n := series("failures_total", b[2], "cause", "broken"); n < 5 {
		t.Errorf("C broke %v connections, want at least 5", n)
	}

	s.mustReload(strings.Replace(reloadable, "weight 3", "weight 2", 1))
	if got := series("requests_total", b[0], "code", "2xx"); got != 30 {
		t.Errorf("A has %v requests after a reload, want 30 still", got)
	}
}

func TestPlaceholdersInTheAccessLog(t *testing.T) {
	b := NewBackends(t, "A", "B")
	vars := addresses(b...)
	s := Start(t, `{
	lb_pool p {
		backend {$A} weight 4
		backend {$B} {
			priority 1
		}
	}
}
http://127.0.0.1:{$PORT} {
	log access
	log_append pool {rp.pool}
	log_append backend {rp.upstream.hostport}
	log_append weight {rp.upstream.weight}
	log_append tries {rp.tries}
	log_append code {rp.status_code}
	lb_proxy {
		pool p
	}
}
`, vars)
	isAccess := func(backend, tries string) func(LogLine) bool {
		return func(l LogLine) bool {
			return strings.HasPrefix(l.Text("logger"), "http.log.access") && l.Text("pool") == "p" &&
				textOf(l["backend"]) == backend && textOf(l["tries"]) == tries && textOf(l["code"]) == "200"
		}
	}
	s.Get(s.URL("PORT", "/"))
	line := s.WaitLog(t, "who answered", isAccess(b[0].Addr, "1"))
	if textOf(line["weight"]) != "4" {
		t.Errorf("the weight in the log is %v, want 4", line["weight"])
	}
	b[0].Down()
	s.Get(s.URL("PORT", "/"))
	s.WaitLog(t, "that the second try was answered", isAccess(b[1].Addr, "2"))
}
