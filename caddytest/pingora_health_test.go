package caddytest

import (
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func tcpCheck(t *testing.T, x pingoraExample) {
	b := sortedBackends(t, "A", "B")
	s := x.start(t, addresses(b...))
	pool := s.onlyPool()
	b[0].Down()
	s.waitState(pool, b[0].Addr, "down")
	if got := s.order(s.URL("PORT", "/"), 3); got != "B B B" {
		t.Errorf("with A down %s answered", got)
	}
	b[0].Up()
	s.waitState(pool, b[0].Addr, "up")
	if count := s.spread(s.URL("PORT", "/"), 10); count["A"] != 5 {
		t.Errorf("with A back the shares are %v", count)
	}
}

func tlsCheck(t *testing.T, x pingoraExample) {
	id := newIdentity(t, "example.com")
	secure := id.serve(t)
	plain := NewBackend(t, "A")
	x.text = rewrite(t, x.text, "/etc/ssl/ca.pem", id.certFile)
	s := x.start(t, map[string]string{"A": plain.Addr, "SECURE": secure.addr})
	pool := s.onlyPool()
	s.waitState(pool, plain.Addr, "down") // it speaks no TLS
	eventually(t, "the check asks for its name", func() bool { return secure.serverName() == "example.com" })
	if state := s.backend(pool, secure.addr).State; state != "up" {
		t.Errorf("the backend with the certificate is %s", state)
	}
	s.mustReload(rewrite(t, x.caddyfile(), "tls example.com", "tls other.test"))
	s.waitState(pool, secure.addr, "down")
}

// answerFunc answers one check.
type answerFunc func(http.ResponseWriter)

// readiness is a backend's answers to its checks: those of the script, one after another, then always the
// standing one. The zero value answers well. It is safe for concurrent use.
type readiness struct {
	mu       sync.Mutex
	script   []answerFunc
	standing answerFunc
	requests []*http.Request
}

func (c *readiness) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.requests = append(c.requests, r)
	w.Header().Set("Content-Type", "application/json")
	switch {
	case len(c.script) > 0:
		c.script[0](w)
		c.script = c.script[1:]
	case c.standing != nil:
		c.standing(w)
	default:
		w.WriteHeader(http.StatusOK)
	}
}

// play sets the answers to come, and waits until the one after the last was asked for.
func (c *readiness) play(t *testing.T, standing answerFunc, script []answerFunc) {
	t.Helper()
	c.mu.Lock()
	c.script, c.standing = script, standing
	end := len(c.requests) + len(script)
	c.mu.Unlock()
	eventually(t, "the checks come", func() bool { return len(c.seen()) > end })
}

// seen is the checks so far.
func (c *readiness) seen() []*http.Request {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.requests)
}

// on makes the backend answer /ready like this, and all else as ever.
func (c *readiness) on(b *Backend) {
	b.Do(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/ready" {
			c.ServeHTTP(w, r)
			return
		}
		answer(http.StatusOK)(w, r)
	})
}

// turns counts how often a backend went down and came back, by the log.
func (s *Server) turns(addr string) (down, up int) {
	says := func(msg string) func(LogLine) bool {
		return func(l LogLine) bool { return l.Text("msg") == msg && l.Text("backend") == addr }
	}
	return s.countLog(says("backend is unhealthy")), s.countLog(says("backend is healthy"))
}

func httpCheck(t *testing.T, x pingoraExample) {
	b := sortedBackends(t, "A", "B")
	var ready, other readiness
	ready.on(b[0])
	other.on(b[1])
	s := x.start(t, addresses(b...))
	pool := s.onlyPool()

	pass := func(w http.ResponseWriter) { w.WriteHeader(http.StatusNoContent) }
	status := func(w http.ResponseWriter) { w.WriteHeader(http.StatusFound) }
	field := func(w http.ResponseWriter) {
		w.Header().Set("Content-Type", "text/html")
		w.WriteHeader(http.StatusOK)
	}
	expect := func(after string, down, up int) {
		t.Helper()
		if d, u := s.turns(b[0].Addr); d != down || u != up {
			t.Errorf("after %s the backend went down %d times and came back %d times, want %d and %d", after, d, u, down, up)
		}
	}
	ready.play(t, nil, []answerFunc{status, field, pass, field, status, pass})
	expect("no three failures in a row", 0, 0)
	ready.play(t, nil, []answerFunc{status, field, status, pass, pass})
	eventually(t, "three failures and two passes count", func() bool {
		d, u := s.turns(b[0].Addr)
		return d == 1 && u == 1
	})
	ready.play(t, status, nil)
	s.waitState(pool, b[0].Addr, "down")
	if got := s.order(s.URL("PORT", "/"), 3); got != "B B B" {
		t.Errorf("with A down %s answered", got)
	}
	ready.play(t, field, []answerFunc{pass, status, pass, field})
	expect("no two passes in a row", 2, 1)
	ready.play(t, nil, nil)
	s.waitState(pool, b[0].Addr, "up")
	r := ready.seen()[0]
	if r.Method != http.MethodPost || r.Host != "example.com" || r.Header.Get("X-Probe") != "balancer" {
		t.Errorf("the check is %s to %s with X-Probe %q", r.Method, r.Host, r.Header.Get("X-Probe"))
	}
	s.mustReload(rewrite(t, x.caddyfile(), "\t\t\ttimeout 10s", "\t\t\ttimeout 10s\n\t\t\tscheme https"))
	s.waitState(pool, b[1].Addr, "down") // it speaks no TLS
}

func reuseConnection(t *testing.T, x pingoraExample) {
	b := sortedBackends(t, "A", "B")
	var mu sync.Mutex
	var clients []string
	b[1].Do(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		clients = append(clients, r.RemoteAddr)
		answer(http.StatusOK)(w, r)
	})
	_, port, _ := net.SplitHostPort(b[1].Addr)
	x.text = rewrite(t, x.text, "port 9002", "port "+port)
	s := x.start(t, addresses(b...))
	seen := func() []string {
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(clients)
	}
	eventually(t, "the checks come", func() bool { return len(seen()) >= 5 })
	if all := slices.Compact(seen()); len(all) != 1 {
		t.Errorf("checks came over the connections %v, want one", all)
	}
	if n := b[0].Hits(); n != 0 {
		t.Errorf("%d checks came to the port of the traffic", n)
	}
	s.mustReload(rewrite(t, x.caddyfile(), "\t\t\treuse_connection\n", ""))
	before := len(seen())
	eventually(t, "checks go on", func() bool { return len(seen()) >= before+5 })
	if fresh := seen()[before+1:]; len(slices.Compact(slices.Clone(fresh))) != len(fresh) {
		t.Errorf("without reuse_connection checks came over %v, want one connection each", fresh)
	}
}

func checkOnce(t *testing.T, x pingoraExample) {
	b := sortedBackends(t, "A", "B")
	var first, second readiness
	first.standing = func(w http.ResponseWriter) {
		time.Sleep(200 * time.Millisecond) // requests would come first, if they could
		w.WriteHeader(http.StatusBadGateway)
	}
	first.on(b[0])
	second.on(b[1])
	s := x.start(t, addresses(b...))
	if count := s.spread(s.URL("PORT", "/"), 400); count["B"] != 400 {
		t.Errorf("shares are %v though A failed its check before the first request", count)
	}
	if n, m := len(first.seen()), len(second.seen()); n != 1 || m != 1 {
		t.Errorf("%d and %d checks, want one each", n, m)
	}
}

// sequentialChecks counts how many checks are under way at once over all backends.
type sequentialChecks struct{ now, most, all atomic.Int64 }

func (c *sequentialChecks) handle(w http.ResponseWriter, r *http.Request) {
	n := c.now.Add(1)
	for most := c.most.Load(); n > most && !c.most.CompareAndSwap(most, n); most = c.most.Load() {
	}
	_, _ = io.Copy(io.Discard, r.Body)
	c.all.Add(1)
	c.now.Add(-1)
	w.WriteHeader(http.StatusOK)
}

// The page says that checks run in parallel unless they are sequential.
func TestPingoraParallelHealthCheck(t *testing.T) {
	b := NewBackends(t, "A", "B")
	// In parallel, the check of each backend can wait for that of the other.
	var both sync.WaitGroup
	both.Add(2)
	var once [2]sync.Once
	for i := range b {
		b[i].Do(func(w http.ResponseWriter, r *http.Request) {
			once[i].Do(both.Done)
			both.Wait()
			w.WriteHeader(http.StatusOK)
		})
	}
	caddyfile := `:{$PORT} {
	lb_proxy {$A} {$B} {
		health_check http {
			interval 20ms
			timeout 10s
			initial check
		}
	}
}
`
	s := Start(t, caddyfile, addresses(b...))
	pool := s.onlyPool()
	for i := range b {
		if state := s.backend(pool, b[i].Addr).State; state != "up" {
			t.Errorf("%s is %s: its check was not made along with the other", b[i].Name, state)
		}
	}
	var checks sequentialChecks
	for i := range b {
		b[i].Do(checks.handle)
	}
	s.mustReload(strings.Replace(caddyfile, "initial check", "sequential", 1))
	// One check each may be under way from before.
	start := checks.all.Load()
	eventually(t, "checks go on", func() bool { return checks.all.Load() > start+4 })
	checks.most.Store(0)
	start = checks.all.Load()
	eventually(t, "checks go on", func() bool { return checks.all.Load() > start+20 })
	if most := checks.most.Load(); most != 1 {
		t.Errorf("%d checks were under way at once, want one after another", most)
	}
}
