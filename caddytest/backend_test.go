package caddytest

import (
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Backend is a server that tells its name and does what a test wants it to. Requests for /health are checks
// and counted apart.
type Backend struct {
	Name string
	Addr string // host:port, kept while the backend is down

	// healthScript, when set before the first check, says what checks are answered instead of SetHealth.
	healthScript func() int

	t       testing.TB
	behave  atomic.Pointer[http.HandlerFunc]
	health  atomic.Int64
	hits    atomic.Int64
	checks  atomic.Int64
	running sync.Mutex // guards server
	server  *http.Server
}

// NewBackend starts a backend that answers everything with 200 and its name.
func NewBackend(t testing.TB, name string) *Backend {
	t.Helper()
	return newBackendAt(t, name, "127.0.0.1:"+freePort(t))
}

func newBackendAt(t testing.TB, name, addr string) *Backend {
	t.Helper()
	b := &Backend{Name: name, Addr: addr, t: t}
	b.SetHealth(http.StatusOK)
	b.Do(answer(http.StatusOK))
	b.Up()
	t.Cleanup(b.Down)
	return b
}

// NewBackends starts a backend for each name.
func NewBackends(t testing.TB, names ...string) []*Backend {
	t.Helper()
	all := make([]*Backend, len(names))
	for i, name := range names {
		all[i] = NewBackend(t, name)
	}
	return all
}

// Up listens again after Down.
func (b *Backend) Up() {
	b.t.Helper()
	b.running.Lock()
	defer b.running.Unlock()
	if b.server != nil {
		return
	}
	ln, err := net.Listen("tcp", b.Addr)
	if err != nil {
		b.t.Fatal(err)
	}
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	b.server = &http.Server{Handler: b, Protocols: protocols, ReadHeaderTimeout: time.Minute}
	go func(srv *http.Server) {
		if err := srv.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
			b.t.Errorf("backend %s: %v", b.Name, err)
		}
	}(b.server)
}

// Down refuses connections and closes those that are open.
func (b *Backend) Down() {
	b.running.Lock()
	defer b.running.Unlock()
	if b.server != nil {
		b.server.Close()
		b.server = nil
	}
}

// Do makes the backend answer all but checks with h from now on.
func (b *Backend) Do(h http.HandlerFunc) { b.behave.Store(&h) }

// SetHealth is the status with which checks are answered.
func (b *Backend) SetHealth(status int) { b.health.Store(int64(status)) }

// Hits is how many requests came that were no checks.
func (b *Backend) Hits() int64 { return b.hits.Load() }

// Checks is how many requests for /health came.
func (b *Backend) Checks() int64 { return b.checks.Load() }

func (b *Backend) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-Backend", b.Name)
	w.Header().Set("X-Backend-Proto", r.Proto)
	if r.URL.Path == "/health" {
		b.checks.Add(1)
		status := int(b.health.Load())
		if b.healthScript != nil {
			status = b.healthScript()
		}
		w.WriteHeader(status)
		return
	}
	b.hits.Add(1)
	(*b.behave.Load())(w, r)
}

// answer reads the request and answers with a status and the backend's name.
func answer(status int) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.WriteHeader(status)
		_, _ = io.WriteString(w, w.Header().Get("X-Backend"))
	}
}

// hang answers when release is closed, or never if the client leaves before.
func hang(release <-chan struct{}) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-release:
			answer(http.StatusOK)(w, r)
		case <-r.Context().Done():
		}
	}
}

// hangUp closes the connection instead of answering.
func hangUp(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }

// hits sums up the requests of several backends.
func hits(backends ...*Backend) int64 {
	var sum int64
	for _, b := range backends {
		sum += b.Hits()
	}
	return sum
}
