package cluster

import "github.com/prometheus/client_golang/prometheus"

// The metrics, all by Redis as host:port/db. Names and labels are part of the contract with users.
var (
	upDesc       = describe("up", "1 while Redis answers.")
	commandsDesc = describe("commands_total", "Commands given to Redis.")
	failuresDesc = describe("failures_total", "Commands without an answer, by cause; away is those that nobody was asked for.", "cause")
)

func describe(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("caddy_lb_cluster_"+name, help, append([]string{"redis"}, labels...), nil)
}

// collector reads the clients when it is asked for metrics.
type collector struct{}

// Describe implements prometheus.Collector.
func (collector) Describe(ch chan<- *prometheus.Desc) {
	ch <- upDesc
	ch <- commandsDesc
	ch <- failuresDesc
}

// tally is the sums over the clients of one Redis, which differ in prefix, timeout or user.
type tally struct {
	up       bool
	commands uint64
	failures [numCauses]uint64
}

// Collect implements prometheus.Collector.
func (collector) Collect(ch chan<- prometheus.Metric) {
	tallies := make(map[string]*tally)
	clients.Range(func(_, value any) bool {
		c, ok := value.(*client)
		if !ok {
			return true
		}
		t := tallies[c.target.name]
		if t == nil {
			t = &tally{up: true}
			tallies[c.target.name] = t
		}
		t.up = t.up && c.open.Load() != nil
		t.commands += c.commands.Load()
		for i := range t.failures {
			t.failures[i] += c.failures[i].Load()
		}
		return true
	})
	for name, t := range tallies {
		up := 0.0
		if t.up {
			up = 1
		}
		ch <- prometheus.MustNewConstMetric(upDesc, prometheus.GaugeValue, up, name)
		ch <- prometheus.MustNewConstMetric(commandsDesc, prometheus.CounterValue, float64(t.commands), name)
		for i, n := range t.failures {
			ch <- prometheus.MustNewConstMetric(failuresDesc, prometheus.CounterValue, float64(n), name, cause(i).String())
		}
	}
}
