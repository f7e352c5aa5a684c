package load

import (
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/caddylb/caddy-lb/bench/internal/peer"
)

// exchange carries a run out against target, or against the backends themselves.
func exchange(t *testing.T, b Backends, run Run, target string) *Result {
	t.Helper()
	questions, ask := io.Pipe()
	answers, answer := io.Pipe()
	done := make(chan error, 1)
	go func() {
		err := Serve(questions, answer)
		answer.CloseWithError(err)
		done <- err
	}()
	enc, dec := json.NewEncoder(ask), json.NewDecoder(answers)
	if err := enc.Encode(b); err != nil {
		t.Fatal(err)
	}
	var ready Ready
	if err := dec.Decode(&ready); err != nil {
		t.Fatal(err)
	}
	if len(ready.Addresses) != b.Count {
		t.Fatalf("%d addresses for %d backends", len(ready.Addresses), b.Count)
	}
	run.Target, run.PID, run.CPUs = target, os.Getpid(), []int{0}
	if target == "" {
		run.Target = ready.Addresses[0]
	}
	run.Duration = 20 * time.Millisecond
	if err := enc.Encode(run); err != nil {
		t.Fatal(err)
	}
	var result Result
	if err := dec.Decode(&result); err != nil {
		t.Fatal(err)
	}
	ask.Close()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	return &result
}

func certificates(t *testing.T) peer.Certificates {
	t.Helper()
	c, err := peer.NewCertificates(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestRuns(t *testing.T) {
	tests := map[string]Run{
		"keep-alive":        {Protocol: H1, Conns: 100, Answer: 100},
		"close":             {Protocol: H1, Conns: 4, Answer: 100, Close: true},
		"large answer":      {Protocol: H1, Conns: 2, Answer: 3 << 20},
		"empty answer":      {Protocol: H1, Conns: 2},
		"upload":            {Protocol: H1, Conns: 3, Answer: 100, Upload: 1 << 20},
		"keys and hosts":    {Protocol: H1, Conns: 2, Answer: 10, Keys: 50, Hosts: 7},
		"fixed rate":        {Protocol: H1, Conns: 2, Answer: 100, Rate: 2000},
		"rate out of reach": {Protocol: H1, Conns: 1, Answer: 1 << 20, Rate: 1_000_000},
		"websocket":         {Protocol: WebSocket, Conns: 5, Answer: 100},
		"long messages":     {Protocol: WebSocket, Conns: 2, Answer: 60_000},
	}
	for name, run := range tests {
		t.Run(name, func(t *testing.T) {
			r := exchange(t, Backends{Count: 1}, run, "")
			if len(r.Errors) > 0 {
				t.Fatalf("errors: %v", r.Errors)
			}
			if r.Requests == 0 || r.P50 <= 0 || r.P999 < r.P50 || r.Wall <= 0 || r.ProxyCPU <= 0 || r.Peak <= 0 || r.Used != 1 {
				t.Fatalf("got %+v", r)
			}
			if !run.Close && r.Accepted != int64(run.Conns) {
				t.Fatalf("%d connections were accepted, want %d", r.Accepted, run.Conns)
			}
			if run.Close && r.Accepted < r.Requests {
				t.Fatalf("%d connections were accepted for %d requests", r.Accepted, r.Requests)
			}
		})
	}
}

func TestRunsOverTLS(t *testing.T) {
	c := certificates(t)
	for name, run := range map[string]Run{
		"small":  {Protocol: H1, Conns: 20, Answer: 100},
		"large":  {Protocol: H1, Conns: 2, Answer: 1 << 20},
		"upload": {Protocol: H1, Conns: 2, Answer: 100, Upload: 1 << 20},
	} {
		t.Run(name, func(t *testing.T) {
			run.CA = c.Cert
			r := exchange(t, Backends{Count: 1, Cert: c.Cert, Key: c.Key}, run, "")
			if len(r.Errors) > 0 || r.Requests == 0 {
				t.Fatalf("%d requests, errors %v", r.Requests, r.Errors)
			}
		})
	}
}

func TestIdle(t *testing.T) {
	r := exchange(t, Backends{Count: 1}, Run{Protocol: H1, Conns: 80, Answer: holdAnswer, Idle: true}, "")
	if len(r.Errors) > 0 || r.Requests != 160 || r.Peak <= 0 {
		t.Fatalf("got %+v", r)
	}
}

func TestBackendsWithAddressesOfTheirOwn(t *testing.T) {
	r := exchange(t, Backends{Count: 600, Spread: true}, Run{Protocol: H1, Conns: 1, Answer: 10}, "")
	if len(r.Errors) > 0 || r.Used != 1 {
		t.Fatalf("got %+v", r)
	}
}

// serve is net/http as a proxy that a run is made against.
func serve(t *testing.T, h http.HandlerFunc) (addr string) {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

func TestErrorsAreCounted(t *testing.T) {
	ok := strings.Repeat("x", 100)
	tests := map[string]struct {
		answer http.HandlerFunc
		want   string
	}{
		"status":  {func(w http.ResponseWriter, _ *http.Request) { http.Error(w, ok, http.StatusBadGateway) }, "status 502"},
		"longer":  {func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, ok+"x") }, "Content-Length 101"},
		"shorter": {func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, ok[1:]) }, "Content-Length 99"},
		"broken off": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			io.WriteString(w, "x")
		}, "connection ended: EOF"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			r := exchange(t, Backends{Count: 1}, Run{Protocol: H1, Conns: 2, Answer: 100}, serve(t, tt.answer))
			if r.Requests != 0 || r.Errors[tt.want] == 0 {
				t.Fatalf("%d requests, errors %v, want %q", r.Requests, r.Errors, tt.want)
			}
		})
	}
}

func TestNobodyListens(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ln.Close()
	r := exchange(t, Backends{Count: 1}, Run{Protocol: H1, Conns: 2, Answer: 100}, ln.Addr().String())
	if r.Requests != 0 || len(r.Errors) == 0 {
		t.Fatalf("got %+v", r)
	}
}
