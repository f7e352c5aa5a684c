package caddytest

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
)

// coping is what GET /lb/pools/<name> says of how a pool copes with its backends.
type coping struct {
	Available int            `json:"available"`
	Queued    int            `json:"queued"`
	Tiers     []tierState    `json:"tiers"`
	Backends  []backendLevel `json:"backends"`
}

type tierState struct {
	Priority  int     `json:"priority"`
	Available int     `json:"available"`
	Backends  int     `json:"backends"`
	Load      float64 `json:"load"`
	Panic     bool    `json:"panic"`
}

// backendLevel is the same of one backend.
type backendLevel struct {
	Address  string    `json:"address"`
	State    string    `json:"state"`
	Reason   string    `json:"reason"`
	Since    time.Time `json:"since"`
	Active   int       `json:"active"`
	Failures int       `json:"failures"`
	Latency  float64   `json:"latency_ms"`
	Warmth   float64   `json:"warmth"`
	Limit    int       `json:"concurrency_limit"`
	Empty    bool      `json:"empty"`
	Backup   bool      `json:"backup"`
	Outlier  struct {
		Ejected   bool       `json:"ejected"`
		Reason    string     `json:"reason"`
		Until     *time.Time `json:"until"`
		Times     int        `json:"times"`
		Ejections int        `json:"ejections"`
	} `json:"outlier"`
}

// coping asks the admin API how a pool copes.
func (s *Server) coping(pool string) coping {
	s.t.Helper()
	r := s.Admin(http.MethodGet, "/lb/pools/"+url.PathEscape(pool), "")
	var c coping
	if err := json.Unmarshal([]byte(r.Body), &c); err != nil || r.Status != http.StatusOK {
		s.t.Fatalf("GET /lb/pools/%s: status %d, %v\n%s", pool, r.Status, err, r.Body)
	}
	return c
}

// level is how the pool p copes with one backend.
func (s *Server) level(b *Backend) backendLevel {
	s.t.Helper()
	c := s.coping("p")
	i := slices.IndexFunc(c.Backends, func(l backendLevel) bool { return l.Address == b.Addr })
	if i < 0 {
		s.t.Fatalf("the pool has no backend %s: %+v", b.Addr, c.Backends)
	}
	return c.Backends[i]
}

// waitLevel waits until something holds of a backend of p, and returns it.
func (s *Server) waitLevel(b *Backend, what string, cond func(backendLevel) bool) backendLevel {
	s.t.Helper()
	var l backendLevel
	eventually(s.t, b.Name+" "+what, func() bool {
		l = s.level(b)
		return cond(l)
	})
	return l
}

// inState is a condition for waitLevel.
func inState(state string) func(backendLevel) bool {
	return func(l backendLevel) bool { return l.State == state }
}

// settle waits until no request is under way: an answer may reach its client before the balancer has judged it.
func (s *Server) settle() {
	s.t.Helper()
	eventually(s.t, "no request is under way", func() bool {
		return !slices.ContainsFunc(s.coping("p").Backends, func(l backendLevel) bool { return l.Active > 0 })
	})
}

// ask sends a GET and waits until it was judged. The answer may break off.
func (s *Server) ask() {
	s.t.Helper()
	_, _ = fetch(s.Client, newRequest(s.t, http.MethodGet, s.URL("PORT", "/"), ""))
	s.settle()
}

// servesInOrder lets the requests go that are at the gate and n that wait for their turn, for /0, /1 and so on, and checks that they come in
// this order and all are served.
func (g *gate) servesInOrder(t *testing.T, n int, waiters []*waiting) {
	t.Helper()
	for i := range n {
		g.letGo(t)
		if path := g.next(t); path != fmt.Sprint("/", i) {
			t.Errorf("the next request is %s, want /%d", path, i)
		}
	}
	g.letGo(t)
	for _, w := range waiters {
		if r := w.reply(t); r.Status != http.StatusOK {
			t.Errorf("status %d", r.Status)
		}
	}
}

// askFor asks until a backend was given n requests more, and not once again: where checks end an ejection within milliseconds, the state
// itself may be over before it is seen.
func (s *Server) askFor(b *Backend, n int64) {
	s.t.Helper()
	want := b.Hits() + n
	eventually(s.t, "requests for the backend", func() bool {
		if b.Hits() < want {
			s.ask()
		}
		return b.Hits() >= want
	})
}

// askUntil asks again and again until a backend of p is in a state.
func (s *Server) askUntil(b *Backend, state string) backendLevel {
	s.t.Helper()
	return s.waitLevel(b, "is "+state, func(l backendLevel) bool {
		if l.State == state {
			return true
		}
		s.ask()
		return false
	})
}

// avoids checks that none of n requests is given to a backend.
func (s *Server) avoids(b *Backend, n int) {
	s.t.Helper()
	before := b.Hits()
	for range n {
		s.Get(s.URL("PORT", "/"))
	}
	if got := b.Hits() - before; got != 0 {
		s.t.Errorf("%s got %d of %d requests, want none", b.Name, got, n)
	}
}

// poolMetric is a metric of the pool p.
func (s *Server) poolMetric(name string, labels ...string) float64 {
	s.t.Helper()
	return s.metric("caddy_lb_"+name, append([]string{"pool", "p"}, labels...)...)
}

// site is a server whose one site is balanced over the pool p with these options. Lines are indented for the pool.
func site(options ...string) string { return siteWith("", options...) }

// siteWith is site with options of the handler.
func siteWith(handler string, options ...string) string {
	if handler != "" {
		handler = "\t\t" + handler + "\n"
	}
	return "{\n\tdebug\n\tlb_pool p {\n\t\t" + strings.Join(options, "\n\t\t") + "\n\t}\n}\n" +
		"http://127.0.0.1:{$PORT} {\n\tlb_proxy {\n\t\tpool p\n" + handler + "\t}\n}\n"
}

// block writes an option with a block.
func block(name string, lines ...string) string {
	return name + " {\n\t\t\t" + strings.Join(lines, "\n\t\t\t") + "\n\t\t}"
}

// gate is what a backend does whose requests a test lets go one by one.
type gate struct {
	entered chan string // paths, in the order of requests
	leave   chan struct{}
}

func newGate() *gate { return &gate{make(chan string, 100), make(chan struct{})} }

func (g *gate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	g.entered <- r.URL.Path
	select {
	case <-g.leave:
		answer(http.StatusOK)(w, r)
	case <-r.Context().Done():
	}
}

// next is the path of the next request that comes in.
func (g *gate) next(t testing.TB) string {
	t.Helper()
	select {
	case path := <-g.entered:
		return path
	case <-time.After(patience()):
		t.Fatal("no request comes in")
		return ""
	}
}

// letGo answers one request.
func (g *gate) letGo(t testing.TB) {
	t.Helper()
	select {
	case g.leave <- struct{}{}:
	case <-time.After(patience()):
		t.Fatal("no request is there to be answered")
	}
}

// waiting is a request that may be given up by its client.
type waiting struct {
	leave    context.CancelFunc
	answered chan Reply // closed without one when the client left
}

// wait sends a GET on a connection of its own, since one that is kept may end with a configuration.
func (s *Server) wait(path string) *waiting {
	s.t.Helper()
	ctx, cancel := context.WithCancel(s.t.Context())
	req := newRequest(s.t, http.MethodGet, s.URL("PORT", path), "").WithContext(ctx)
	w := &waiting{cancel, make(chan Reply, 1)}
	client := newClient(s.t)
	go func() {
		defer close(w.answered)
		r, err := fetch(client, req)
		for err != nil && s.handedOver(req, err) {
			r, err = fetch(client, req)
		}
		if err == nil {
			w.answered <- r
		} else if ctx.Err() == nil {
			s.t.Errorf("GET %s: %v", path, err)
		}
	}()
	return w
}

// reply waits for the answer.
func (w *waiting) reply(t testing.TB) Reply {
	t.Helper()
	select {
	case r := <-w.answered:
		return r
	case <-time.After(patience()):
		t.Fatal("the request is not answered")
		return Reply{}
	}
}

// waitQueued waits until n requests are in p's queue.
func (s *Server) waitQueued(n int) {
	s.t.Helper()
	eventually(s.t, "the queue has its requests", func() bool { return s.coping("p").Queued == n })
}
