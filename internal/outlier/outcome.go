package outlier

import "time"

// Kind is what became of one try at a host.
type Kind int

const (
	// Ignored says nothing of the host: the client left, or another try was faster.
	Ignored Kind = iota

	// ServerError is an answer of 5xx other than those of GatewayError.
	ServerError

	// GatewayError is 502, 503 or 504, and what a gateway would answer so: a timeout, a connection or body that broke off, an invalid answer.
	GatewayError

	// ConnectFailure is that no connection came about.
	ConnectFailure

	// Success is any other answer.
	Success
)

// Outcome is the result of one try. Every try is observed once, when it is over, whatever happened to it.
type Outcome struct {
	Kind Kind

	// Latency is the time to the first byte. A success has one; it is not looked at otherwise.
	Latency time.Duration

	// Began is when the try began, on the host's clock. What began before a host's latest ejection or return says nothing of the time since.
	Began time.Duration
}

// Names of the rules, for logs and labels of metrics.
const (
	RuleConsecutive5xx     = "consecutive_5xx"
	RuleConsecutiveGateway = "consecutive_gateway_failure"
	RuleConsecutiveConnect = "consecutive_connect_failure"
	RuleFailurePercentage  = "failure_percentage"
	RuleSuccessRate        = "success_rate"
	RuleLatency            = "latency"

	// RuleTrial is that of a host which failed again while it was on trial.
	RuleTrial = "trial"
)

// EventKind is what happened to a host.
type EventKind int

const (
	// Ejected is that the host is out.
	Ejected EventKind = iota

	// Overflow is that the host would be out, but that as many are as may be.
	Overflow

	// Returned is that the host's trial succeeded: it is in.
	Returned
)

// Event is a change that a detector made, or would have made.
type Event struct {
	Kind EventKind

	// Rule is the name of the rule that found the host out: [RuleSuccessRate], for example. Of a return, it is that of the last ejection.
	Rule string

	// Reason is what was seen, for a person: "5 consecutive 5xx". Of a return, it is that of the last ejection.
	Reason string

	// Times is how many ejections in a row this was; see [Status].
	Times int

	// Until is when the ejection ends, on the host's clock.
	Until time.Duration
}

// verdict is why a host should be out.
type verdict struct {
	rule, reason string
	slow         time.Duration // of RuleLatency: above which time to first byte an answer is too slow
}
