// Package load is the benchmark's one process of clients and backends: it listens as the backends, then sends
// requests through a proxy that it is told of, and reports figures of both sides and of the proxy's processes.
package load

import "time"

// Backends says what to listen as.
type Backends struct {
	Count int
	// Spread gives each backend an address of its own within 127.0.0.0/8, and all the same port.
	Spread bool
	// Cert and Key name PEM files; with them the backends speak TLS.
	Cert, Key string
}

// Ready is the answer to Backends.
type Ready struct{ Addresses []string }

// Protocols that a Run speaks.
const (
	H1        = "h1"
	H2        = "h2"
	WebSocket = "websocket"
)

// Run says what to send to a proxy, and for how long.
type Run struct {
	Target   string // address and port
	PID      int    // of the proxy, which is measured with its descendants
	CPUs     []int  // on which the proxy and this process run
	Protocol string
	CA       string // names a PEM file; with it the clients speak TLS
	Conns    int
	Streams  int // at once on each connection, with H2
	Answer   int // bytes in each answer, or in each WebSocket message
	Upload   int // bytes in the body of each request, which then is a POST
	Keys     int // number of different paths
	Hosts    int // number of different hosts, bench-0 and so on, instead of one called bench.test
	Close    bool
	Rate     int // requests a second in all; 0 sends the next request when an answer is there
	// Idle measures memory of idle connections instead of requests.
	Idle     bool
	Warmup   time.Duration
	Duration time.Duration
}

// Result has the figures of a Run. Those of requests are of the time after the warm-up.
type Result struct {
	Requests int64
	Errors   map[string]int64 // by what went wrong, those of the warm-up included
	Wall     time.Duration
	ProxyCPU time.Duration
	LoadCPU  time.Duration // of this process
	OtherCPU time.Duration // of everything else on the processors of the run, with what the hypervisor took
	P50      time.Duration
	P99      time.Duration
	P999     time.Duration
	Peak     int64 // bytes of memory of the proxy
	// Accepted counts connections that the backends accepted, from the start; Used counts backends that had a request.
	Accepted int64
	Used     int
	// Bytes of memory for each idle connection, in a run with Idle.
	FrontIdle    float64
	UpstreamIdle float64
}
