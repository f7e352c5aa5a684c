// Package scenario lists the situations in which the benchmark compares proxies.
package scenario

import (
	"regexp"

	"github.com/caddylb/caddy-lb/bench/internal/load"
)

// Scenario is one situation. Zero values are plain HTTP/1.1 with keep-alive on both sides.
type Scenario struct {
	Name string
	// About is a sentence without its full stop, for the report.
	About       string
	Protocol    string // of package load; HTTP/1.1 if empty
	TLS         bool   // in front
	Conns       int
	Streams     int // at once on each connection
	Answer      int // bytes
	Upload      int // bytes of a POST's body
	Close       bool
	UpstreamTLS bool
	Backends    int // 4 if 0
	// Consistent hashes paths onto backends, each of which has an address of its own.
	Consistent bool
	Sites      int // hosts configured apart; one site for all hosts if 0
	Procs      int // processors of the proxy; the command's default if 0
	Rate       int // requests a second; the next follows the answer if 0
	Idle       bool
}

const (
	kib = 1 << 10
	mib = 1 << 20
)

// All is every scenario, in the order of the report.
var All = []Scenario{
	{Name: "get-100b-32", About: "GET, answer of 100 bytes, 32 connections", Conns: 32, Answer: 100},
	{Name: "get-100b-1", About: "GET, answer of 100 bytes, one connection", Conns: 1, Answer: 100},
	{Name: "get-100b-256", About: "GET, answer of 100 bytes, 256 connections", Conns: 256, Answer: 100},
	{Name: "get-100b-2000", About: "GET, answer of 100 bytes, 2,000 connections", Conns: 2000, Answer: 100},
	{Name: "rate-100b", About: "GET, answer of 100 bytes, 5,000 requests a second over 64 connections", Conns: 64, Answer: 100, Rate: 5000},
	{Name: "close-100b", About: "GET, answer of 100 bytes, a connection for each request, 32 at once", Conns: 32, Answer: 100, Close: true},
	{Name: "get-100k", About: "GET, answer of 100 KiB, 32 connections", Conns: 32, Answer: 100 * kib},
	{Name: "get-10m", About: "GET, answer of 10 MiB, 8 connections", Conns: 8, Answer: 10 * mib},
	{Name: "post-1k", About: "POST of 1 KiB, answer of 100 bytes, 32 connections", Conns: 32, Answer: 100, Upload: kib},
	{Name: "post-1m", About: "POST of 1 MiB, answer of 100 bytes, 16 connections", Conns: 16, Answer: 100, Upload: mib},
	{Name: "tls-h1", About: "HTTP/1.1 over TLS in front, answer of 100 bytes, 32 connections", TLS: true, Conns: 32, Answer: 100},
	{
		Name: "tls-h2", About: "HTTP/2 over TLS in front, answer of 100 bytes, 4 connections with 8 streams each",
		Protocol: load.H2, TLS: true, Conns: 4, Streams: 8, Answer: 100,
	},
	{
		Name: "tls-h2-post", About: "HTTP/2 over TLS in front, POST of 1 KiB, answer of 100 bytes, 4 connections with 8 streams each",
		Protocol: load.H2, TLS: true, Conns: 4, Streams: 8, Answer: 100, Upload: kib,
	},
	{Name: "tls-upstream", About: "TLS to the backends, answer of 100 bytes, 32 connections", UpstreamTLS: true, Conns: 32, Answer: 100},
	{
		Name: "websocket", About: "WebSocket, messages of 100 bytes sent back, 32 connections; a request is a message and its return",
		Protocol: load.WebSocket, Conns: 32, Answer: 100,
	},
	{
		Name: "ketama-1000", About: "1,000 backends chosen by a consistent hash of the path, answer of 100 bytes, 32 connections",
		Conns: 32, Answer: 100, Backends: 1000, Consistent: true,
	},
	{Name: "sites-100", About: "100 sites with four backends each, asked in turn, answer of 100 bytes, 32 connections", Conns: 32, Answer: 100, Sites: 100},
	{Name: "procs-2", About: "the proxy on two processors, answer of 100 bytes, 64 connections", Conns: 64, Answer: 100, Procs: 2},
	{Name: "idle", About: "Memory for each of 2,000 idle connections in front, and for as many to the backends", Conns: 2000, Answer: 100, Idle: true},
}

// Matching is the scenarios whose name an expression matches.
func Matching(only *regexp.Regexp) []Scenario {
	var found []Scenario
	for _, s := range All {
		if only.MatchString(s.Name) {
			found = append(found, s)
		}
	}
	return found
}

// WithDefaults fills in what the scenario leaves to the command: its number of processors, and its rate if that is not 0.
func (s Scenario) WithDefaults(procs, rate int) Scenario {
	if s.Protocol == "" {
		s.Protocol = load.H1
	}
	if s.Backends == 0 {
		s.Backends = 4
	}
	if s.Procs == 0 {
		s.Procs = procs
	}
	if rate > 0 && !s.Idle {
		s.Rate = rate
	}
	return s
}

// keys is how many paths the requests have where paths matter: enough for every backend to own several.
const keys = 8192

// Load is the scenario for the load process; target, process and time are still to be filled in.
func (s Scenario) Load() load.Run {
	run := load.Run{
		Protocol: s.Protocol, Conns: s.Conns, Streams: s.Streams, Answer: s.Answer, Upload: s.Upload,
		Hosts: s.Sites, Close: s.Close, Rate: s.Rate, Idle: s.Idle,
	}
	if s.Consistent {
		run.Keys = keys
	}
	return run
}
