package outlier

import (
	"testing"
	"testing/synctest"
	"time"
)

// interval lets one comparison happen.
func interval() {
	time.Sleep(10 * time.Second)
	synctest.Wait()
}

// rates gives each host 100 requests, of which some are successes.
func (f *fixture) rates(successes ...int) {
	for i, n := range successes {
		f.observe(i, n, Success)
		for range 100 - n { // never in a row
			f.observe(i, 1, ServerError)
			f.hosts[i].streaks.clear()
		}
	}
}

func TestComparisons(t *testing.T) {
	all := func(n, first, others int) []int {
		rates := []int{first}
		for range n - 1 {
			rates = append(rates, others)
		}
		return rates
	}
	const off = -1
	rate := Config{MaxEjectionPercent: 100, FailurePercentage: Percentage{Threshold: off}}
	percentage := Config{MaxEjectionPercent: 100, SuccessRate: Deviation{Factor: off}}
	with := func(c Config, f func(*Config)) Config { f(&c); return c }
	for _, c := range []struct {
		name   string
		config Config
		rates  []int
		reason string // why the first host is out; empty: all are in
	}{
		{"Envoy's check, 10 hosts: threshold 33 %", rate, all(10, 0, 100), "success rate 0.0 %, its peers 100.0 %"},
		{"5 hosts: threshold 4 %", rate, all(5, 0, 100), "success rate 0.0 %, its peers 100.0 %"},
		{"5 hosts, at 3 % instead", rate, all(5, 3, 100), "success rate 3.0 %, its peers 100.0 %"},
		{"4 hosts: threshold below 0", with(rate, func(c *Config) { c.SuccessRate.MinHosts = 1 }), all(4, 0, 100), ""},
		{"4 hosts are too few", with(rate, func(c *Config) { c.SuccessRate.Factor = 1 }), all(4, 0, 100), ""},
		{"a small difference counts if the others agree", rate, all(10, 99, 100), "success rate 99.0 %, its peers 100.0 %"},
		{"all the same", rate, all(10, 50, 50), ""},
		{"too few requests", with(rate, func(c *Config) { c.SuccessRate.MinRequests = 101 }), all(10, 0, 100), ""},
		{"another factor", with(rate, func(c *Config) { c.SuccessRate.Factor = 3.1 }), all(10, 0, 100), ""},

		{"85 % failed", percentage, all(5, 15, 100), "85.0 % of 100 requests failed"},
		{"84 % failed", percentage, all(5, 16, 100), ""},
		{"4 hosts", percentage, all(4, 0, 100), ""},
		{"4 hosts may do", with(percentage, func(c *Config) { c.FailurePercentage.MinHosts = 4 }), all(4, 0, 100), "100.0 % of 100 requests failed"},
		{"1 host has no peers", with(percentage, func(c *Config) { c.FailurePercentage.MinHosts = 1 }), all(1, 0, 100), ""},
		{"too few requests failed", with(percentage, func(c *Config) { c.FailurePercentage.MinRequests = 101 }), all(5, 0, 100), ""},
		{"20 % failed", with(percentage, func(c *Config) { c.FailurePercentage.Threshold = 20 }), all(5, 80, 100), "20.0 % of 100 requests failed"},
		{"both off", with(rate, func(c *Config) { c.SuccessRate.Factor = off }), all(10, 0, 100), ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFixture(t, len(c.rates), c.config)
				f.Start()
				f.rates(c.rates...)
				f.phase(In, 0)
				interval()
				if c.reason == "" {
					if events := f.take(); len(c.rates) > 1 && len(events) > 0 {
						t.Errorf("events %+v, want none", events)
					}
					f.phase(In, 0)
					return
				}
				f.phase(Out, 0)
				if e := f.one(); e.Reason != c.reason || e.Kind != Ejected {
					t.Errorf("event %+v, want ejection for %q", e, c.reason)
				}
			})
		})
	}
}

func TestLatency(t *testing.T) {
	const ms = time.Millisecond
	slow := func(c Slowness) Config { return Config{MaxEjectionPercent: 100, Latency: c} }
	for _, c := range []struct {
		name      string
		config    Config
		requests  int
		latencies []time.Duration
		out       bool // the first; the others stay in any case
	}{
		{"off unless asked for", Config{MaxEjectionPercent: 100}, 100, []time.Duration{900 * ms, ms, ms, ms}, false},
		{"10 times slower", slow(Slowness{Factor: 3}), 50, []time.Duration{100 * ms, 10 * ms, 10 * ms}, true},
		{"just below", slow(Slowness{Factor: 3}), 50, []time.Duration{26 * ms, 10 * ms, 10 * ms}, false},
		{"too few requests", slow(Slowness{Factor: 3}), 49, []time.Duration{100 * ms, 10 * ms, 10 * ms}, false},
		{"too few hosts", slow(Slowness{Factor: 3}), 50, []time.Duration{100 * ms, 10 * ms}, false},
		{"two may do", slow(Slowness{Factor: 3, MinHosts: 1}), 50, []time.Duration{100 * ms, 10 * ms}, true},
		{"below the floor", slow(Slowness{Factor: 3}), 50, []time.Duration{4 * ms, ms / 10, ms / 10}, false},
		{"no floor", slow(Slowness{Factor: 3, Floor: -1}), 50, []time.Duration{4 * ms, ms / 10, ms / 10}, true},
		{"the median of the others", slow(Slowness{Factor: 3}), 50, []time.Duration{100 * ms, 10 * ms, 10 * ms, 10 * ms, 99 * ms}, true},
		{"most are slow", slow(Slowness{Factor: 3}), 50, []time.Duration{100 * ms, 100 * ms, 100 * ms, 10 * ms, 10 * ms}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFixture(t, len(c.latencies), c.config)
				f.Start()
				for i, latency := range c.latencies {
					f.answers(i, c.requests, latency)
				}
				interval()
				want := In
				if c.out {
					want = Out
				}
				f.phase(want, 0)
			})
		})
	}
}

// A host that was out for its latency has to show on trial that it is faster, and a check that passes shows nothing.
func TestLatencyOnTrial(t *testing.T) {
	const ms = time.Millisecond
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, 3, Config{AlwaysEjectOne: true, Latency: Slowness{Factor: 3}})
		f.Start()
		f.answers(0, 50, 100*ms)
		f.answers(1, 50, 10*ms)
		f.answers(2, 50, 10*ms)
		interval()
		if e := f.one(); e.Rule != RuleLatency || e.Reason != "latency 96ms, its peers 10ms" {
			t.Errorf("event %+v", e)
		}
		f.hosts[0].CheckPassed(f.now())
		f.phase(Out, 0)

		for _, latency := range []time.Duration{100 * ms, 32 * ms} {
			time.Sleep(f.hosts[0].Status().Until - f.now())
			synctest.Wait()
			f.answers(0, 1, latency)
			f.phase(Out, 0)
			f.one()
		}
		time.Sleep(f.hosts[0].Status().Until - f.now())
		synctest.Wait()
		f.answers(0, 1, 29*ms)
		f.phase(In, 0)
	})
}

// Each comparison is of its own interval; what happened before a host came back, or was added, does not count.
func TestComparisonsForget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, 10, Config{Consecutive5xx: 200})
		f.rates(0)
		f.Remove(f.hosts[0])
		f.Add(f.hosts[0])
		f.Start()
		f.rates(100, 100, 100, 100, 100, 100, 100, 100, 100, 100)
		interval()
		f.phase(In, 0)

		// Half of the requests in one interval, half in the next: too few in each.
		f.observe(0, 49, ServerError)
		interval()
		f.observe(0, 49, ServerError)
		interval()
		f.phase(In, 0)

		// Failures, an ejection, an early return, all in one interval.
		f.rates(0, 100, 100, 100, 100, 100, 100, 100, 100, 100)
		f.observe(0, 200, ServerError)
		f.phase(Out, 0)
		time.Sleep(time.Second)
		f.hosts[0].CheckPassed(f.now())
		f.observe(0, 100, Success)
		interval()
		f.phase(In, 0)
	})
}

// Of several outliers the worst go first, and each is told of once, whatever the number of rules that find it. Hosts that are out are not
// compared.
func TestWorstFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, 10, Config{MaxEjectionPercent: 20, SuccessRate: Deviation{Factor: 1}})
		f.Start()
		f.rates(14, 10, 5, 100, 100, 100, 100, 100, 100, 100)
		interval()
		f.phase(Out, 1, 2)
		f.phase(In, 0)
		if events := f.take(); len(events) != 3 || events[2].Kind != Overflow || events[0].Reason != "95.0 % of 100 requests failed" {
			t.Errorf("events %+v, want two ejections and an overflow", events)
		}
		f.rates(100, 100, 100, 100, 100, 100, 100, 100, 100, 100)
		interval()
		if events := f.take(); len(events) != 0 {
			t.Errorf("events %+v of an interval in which all that are in succeeded", events)
		}
	})
}

func TestStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		before := New(Config{}, nil)
		before.Stop()
		before.Start()
		f := newFixture(t, 10, Config{})
		f.Start()
		f.Start()
		f.Stop()
		f.Stop()
		f.rates(0, 100, 100, 100, 100, 100, 100, 100, 100, 100)
		interval()
		f.phase(In, 0)
		f.observe(0, 5, ServerError)
		f.phase(Out, 0) // a late answer still counts
	})
}
