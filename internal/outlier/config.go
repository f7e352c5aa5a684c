package outlier

import (
	"cmp"
	"time"
)

// Config is what makes a host an outlier, and for how long it is out then. Names and defaults are Envoy's (outlier_detection.proto),
// except where a field says so. The zero value is of use: all defaults.
type Config struct {
	// Consecutive5xx is how many failures in a row eject a host: answers of 5xx, broken or missing answers, failures to connect. 0 is 5, a
	// negative number turns the rule off.
	Consecutive5xx int

	// ConsecutiveGateway counts those that speak of the host rather than of the request: 502, 503, 504, timeouts, broken connections and
	// bodies, failures to connect. 0 is 5, a negative number turns the rule off.
	ConsecutiveGateway int

	// ConsecutiveConnect counts failures to connect alone. 0 is 3, a negative number turns the rule off.
	ConsecutiveConnect int

	FailurePercentage Percentage
	SuccessRate       Deviation
	Latency           Slowness

	// Interval is how often rates and latencies are compared, and of how much time. It is also how long an ejected host that came back has
	// to stay in for each of its ejections to be forgiven. 0 or less is 10 s.
	Interval time.Duration

	// BaseEjection is how long a host is out the first time; the second time in a row it is twice that, and so on. 0 or less is 30 s.
	BaseEjection time.Duration

	// MaxEjection is the longest time out. 0 or less is 300 s; less than BaseEjection is BaseEjection.
	MaxEjection time.Duration

	// MaxEjectionPercent is the share of the hosts that may be out or on trial at once, rounded down to hosts. One always stays. 0 is 10, a
	// negative number is none.
	MaxEjectionPercent float64

	// AlwaysEjectOne lets one host be out where MaxEjectionPercent is less than one.
	AlwaysEjectOne bool
}

// Percentage ejects each host of whose requests too many failed.
type Percentage struct {
	// Threshold is the failed share of the requests of an interval, in percent, from which on a host is ejected. 0 is 85, a negative number
	// turns the rule off.
	Threshold float64

	// MinRequests is how many requests of the interval a host must have had to be judged. 0 or less is 50.
	MinRequests int

	// MinHosts is how many such hosts there must be for any to be judged. 0 or less is 5.
	MinHosts int
}

// Deviation ejects each host whose success rate is far below the others'.
type Deviation struct {
	// Factor is how many standard deviations, of all hosts' rates as a population, a host's success rate may be below their mean. 0 is 1.9, a
	// negative number turns the rule off.
	Factor float64

	// MinRequests is how many requests of the interval a host must have had to be judged. 0 or less is 100.
	MinRequests int

	// MinHosts is how many such hosts there must be for any to be judged. 0 or less is 5: of four, one cannot be 1.9 deviations away.
	MinHosts int
}

// Slowness ejects each host that takes far longer for its first byte than the others. Envoy has no such rule.
type Slowness struct {
	// Factor is how many times the median of the others' medians a host's median time to first byte may be. 0 or less turns the rule off:
	// hosts may be meant to differ.
	Factor float64

	// MinRequests is how many successful requests of the interval a host must have had to be judged. 0 or less is 50.
	MinRequests int

	// MinHosts is how many such hosts there must be for any to be judged, itself included. 0 or less is 3.
	MinHosts int

	// Floor is by how much a host must be slower besides, so that 300 µs beside 80 µs is no reason. 0 is 5 ms, a negative time is none.
	Floor time.Duration
}

// withDefaults fills in what is 0.
func (c Config) withDefaults() Config {
	c.Consecutive5xx = cmp.Or(c.Consecutive5xx, 5)
	c.ConsecutiveGateway = cmp.Or(c.ConsecutiveGateway, 5)
	c.ConsecutiveConnect = cmp.Or(c.ConsecutiveConnect, 3)

	c.FailurePercentage.Threshold = cmp.Or(c.FailurePercentage.Threshold, 85)
	c.FailurePercentage.MinRequests = positive(c.FailurePercentage.MinRequests, 50)
	c.FailurePercentage.MinHosts = positive(c.FailurePercentage.MinHosts, 5)
	c.SuccessRate.Factor = cmp.Or(c.SuccessRate.Factor, 1.9)
	c.SuccessRate.MinRequests = positive(c.SuccessRate.MinRequests, 100)
	c.SuccessRate.MinHosts = positive(c.SuccessRate.MinHosts, 5)
	c.Latency.MinRequests = positive(c.Latency.MinRequests, 50)
	c.Latency.MinHosts = positive(c.Latency.MinHosts, 3)
	c.Latency.Floor = max(0, cmp.Or(c.Latency.Floor, 5*time.Millisecond))

	c.Interval = positive(c.Interval, 10*time.Second)
	c.BaseEjection = positive(c.BaseEjection, 30*time.Second)
	c.MaxEjection = max(c.BaseEjection, positive(c.MaxEjection, 300*time.Second))
	c.MaxEjectionPercent = cmp.Or(c.MaxEjectionPercent, 10)
	return c
}

func positive[T int | time.Duration](value, otherwise T) T {
	if value > 0 {
		return value
	}
	return otherwise
}

// timeOut is how long a host is out for the given ejection in a row.
func (c *Config) timeOut(times int) time.Duration {
	return min(time.Duration(times)*c.BaseEjection, c.MaxEjection)
}

// oneMore is the number of ejections in a row after times of them. It does not grow beyond what makes the time out longer, so that a host
// that was bad for a day is forgiven as soon as one that was bad for an hour.
func (c *Config) oneMore(times int) int {
	return max(1, min(times+1, int((c.MaxEjection+c.BaseEjection-1)/c.BaseEjection)))
}
