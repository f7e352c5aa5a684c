package lbproxy

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// blameCase is a request that ends badly, in a way of which the table of causes says whose doing it
// is.
type blameCase struct {
	name  string
	cause cause

	// upstreams are the handler's backends, as JSON; nil for one that answers "ok" over HTTP/1.1.
	upstreams func(t *testing.T) string

	handler string                           // more members of the handler
	balance string                           // more members of load_balancing
	options serverOptions                    // of the server
	probe   func(*probeBehaviour)            // nil without a filter
	send    func(t *testing.T, p *proxy) int // returns the answer's status; 0 for none

	status  int  // of the answer, where it is not the cause's
	untried bool // no backend is tried
	once    bool // nothing is tried again, as the client has part of an answer
}

// blameHandler is a handler that counts failures in every way there is, and tries again what may
// be.
func (c *blameCase) blameHandler(t *testing.T) string {
	backends := upstreams(startBackend(t, readThenOK).URL)
	if c.upstreams != nil {
		backends = c.upstreams(t)
	}
	members := []string{
		backends,
		`"load_balancing":{"selection_policy":{"policy":"first"},"retries":1,"retry_on":["connect","timeout","reset","non_idempotent"]` + c.balance + `}`,
		`"health_checks":{"passive":{"fail_duration":"1m","max_fails":100},
			"outlier_detection":{"consecutive_5xx":2,"consecutive_gateway_failure":2,"consecutive_connect_failure":2,"always_eject_one":true}}`,
	}
	if c.handler != "" {
		members = append(members, c.handler)
	}
	if c.probe != nil {
		b, filters := newProbe(t)
		c.probe(b)
		members = append(members, filters)
	}
	return strings.Join(members, ",")
}

func TestBlame(t *testing.T) {
	cases := append(append(backendCases(), clientCases()...), proxyCases()...)
	seen := make(map[cause]bool)
	for _, c := range cases {
		seen[c.cause] = true
		t.Run(c.cause.String()+"/"+c.name, func(t *testing.T) { c.run(t) })
	}
	for c := causeNone + 1; c < numCauses; c++ {
		if !seen[c] && c != causeHedged && c != causeUnavailable { // which have tests of their own
			t.Errorf("no case ends with %s", c)
		}
	}
}

func (c *blameCase) run(t *testing.T) {
	p := startProxy(t, c.blameHandler(t), c.options)
	member := runningPools()[0].Snapshot().Members[0]
	e := (*runningPools()[0].entries.Load())[member.Backend]
	end := endings[c.cause]

	requests, tries := 2, 2
	if end.again != againNever && !c.once {
		requests = 1 // of two tries
	}
	want := c.status
	if want == 0 && c.cause != causeCanceled {
		want = end.status
	}
	for range requests {
		if status := c.send(t, p); status != want {
			t.Errorf("status %d, want %d", status, want)
		}
	}
	eventually(t, "backend without requests", func() bool { return member.Active() == 0 })
	if c.untried {
		tries = 0
	}
	causes := make(map[string]uint64)
	for k := causeNone + 1; k < numCauses; k++ {
		if n := e.stats.byCause[k].Load(); n > 0 {
			causes[k.String()] = n
		}
	}
	if n := e.stats.byCause[c.cause].Load(); n != uint64(tries) || len(causes) > 1 && c.cause != causeLimit { // which takes another request
		t.Errorf("causes of tries are %v, want %d with %s", causes, tries, c.cause)
	}
	counted := 0
	if end.by == byBackend {
		counted = tries
	}
	if n := e.passive.Fails(); n != counted {
		t.Errorf("max_fails counts %d of %d, want %d", n, tries, counted)
	}
	if n := e.stats.failures.Load(); n != uint64(counted) {
		t.Errorf("%d failures of %d tries, want %d", n, tries, counted)
	}
	if n := e.stats.ejections.Load() + e.stats.overflows.Load(); (n > 0) != (counted > 0) {
		t.Errorf("outlier detection ejects %d times", n)
	}
	if average, known := member.Latency().Last(); known && counted == 0 && average >= defaultPenalty/2 {
		t.Errorf("the latency average is %v", average)
	}
}

// readThenOK answers when it has all of the request.
func readThenOK(w http.ResponseWriter, r *http.Request) {
	if _, err := io.Copy(io.Discard, r.Body); err != nil {
		panic(http.ErrAbortHandler)
	}
	_, _ = io.WriteString(w, "ok")
}

// statusOf reads the status of an answer; 0 when the connection ends without one.
func statusOf(r *bufio.Reader) int {
	res, err := http.ReadResponse(r, nil)
	if err != nil {
		return 0
	}
	_, _ = io.Copy(io.Discard, res.Body)
	return res.StatusCode
}

// sends sends a request as it is over a connection of its own.
func sends(request string) func(t *testing.T, p *proxy) int {
	return func(t *testing.T, p *proxy) int {
		conn, r := p.raw(request)
		defer conn.Close()
		return statusOf(r)
	}
}

// sendsLater sends a request over a connection that has served one.
func sendsLater(request string) func(t *testing.T, p *proxy) int {
	return func(t *testing.T, p *proxy) int {
		conn, r := p.raw("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n")
		defer conn.Close()
		if status := statusOf(r); status != http.StatusOK {
			t.Errorf("before it: status %d", status)
		}
		_, _ = io.WriteString(conn, request)
		return statusOf(r)
	}
}

// sendsH2 sends a request over HTTP/2.
func sendsH2(body string, fields ...[2]string) func(t *testing.T, p *proxy) int {
	return func(t *testing.T, p *proxy) int {
		var status int
		_, _ = fmt.Sscan(h2Request(t, p, body, fields...), &status)
		return status
	}
}

// leaves sends a request, waits until the backend knows of it, and closes the connection by a
// reset.
func leaves(request string, known <-chan struct{}) func(t *testing.T, p *proxy) int {
	return func(t *testing.T, p *proxy) int {
		conn, _ := p.raw(request)
		select {
		case <-known:
		case <-time.After(patience):
			t.Error("the backend got no request")
		}
		_ = conn.(*net.TCPConn).SetLinger(0)
		_ = conn.Close()
		return 0
	}
}

// of is a pool of the given backend.
func of(backend func(t *testing.T) string) func(t *testing.T) string {
	return func(t *testing.T) string { return upstreams(backend(t)) }
}

// rawly is a pool of a backend each connection of which is served by f.
func rawly(f func(conn net.Conn, r *bufio.Reader)) func(t *testing.T) string {
	return of(func(t *testing.T) string { return rawBackend(t, f) })
}

// saying is a pool of a backend that answers each head, and closes the connection.
func saying(answer string) func(t *testing.T) string {
	return rawly(func(conn net.Conn, r *bufio.Reader) {
		if _, err := http.ReadRequest(r); err == nil {
			_, _ = io.WriteString(conn, answer)
		}
	})
}

var (
	h2cToo      = serverOptions{server: `"protocols":["h1","h2c"]`}
	netHTTPOnly = serverOptions{apps: `"lb_clients":{"engine":"net/http"}`}
)

const (
	byModule = `"transport":{"protocol":"http","compression":true}` // by net/http's transport for HTTP/1.1
	postHead = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n"
)
