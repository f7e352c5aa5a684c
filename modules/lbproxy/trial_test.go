package lbproxy

import (
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddylb/caddy-lb/internal/outlier"
)

// A policy that keeps away from what has failed does not keep a backend from its trial: it is the next request's that can be
// tried again, and what was known of its latency before is forgotten.
func TestTrialsAreSoughtUnderLeastLatency(t *testing.T) {
	var broken atomic.Bool
	broken.Store(true)
	bad := startBackend(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if broken.Load() {
			w.WriteHeader(http.StatusInternalServerError)
		}
	}))
	good := startBackend(t, text("good"))
	p := startProxy(t, upstreams(bad.URL, good.URL)+`,"load_balancing":{"selection_policy":{"policy":"least_latency"},"retry_on":["5xx"]},`+
		`"health_checks":{"outlier_detection":{"consecutive_5xx":1,"base_ejection_time":"50ms","max_ejection_percent":50}}`)
	pool := runningPools()[0]
	status := func() outlier.Status {
		m := pool.Snapshot().Find(hostOf(bad.URL))
		return (*pool.entries.Load())[m.Backend].outlier.Status()
	}
	get := func() {
		if r := p.get("/"); r.status != http.StatusOK {
			t.Fatalf("status %d", r.status)
		}
	}
	onTrial := func() bool { return len(pool.Snapshot().Trials) == 1 }
	eventually(t, "ejection", func() bool {
		get()
		return status().Ejections > 0
	})
	eventually(t, "trial", onTrial)
	before := status().Ejections
	get()
	if got := status().Ejections; got != before+1 {
		t.Fatalf("a trial that failed made %d ejections of %d", got, before)
	}
	broken.Store(false)
	eventually(t, "second trial", onTrial)
	get()
	eventually(t, "return", func() bool { return status().Phase == outlier.In })
	if average, known := pool.Snapshot().Find(hostOf(bad.URL)).Latency().Last(); known && average > time.Second {
		t.Errorf("the backend comes back with an average of %v", average)
	}
}

// An address that another name of the pool resolves to now is a backend as before: its failures take it out.
func TestRenamedBackendIsEjected(t *testing.T) {
	bad := startBackend(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) }))
	good := startBackend(t, text("good"))
	p := startProxy(t, upstreams(bad.URL, good.URL)+`,"health_checks":{"outlier_detection":{"consecutive_5xx":2,"max_ejection_percent":50}}`)
	pool := runningPools()[0]
	pool.mu.Lock()
	for i := range pool.specs {
		pool.specs[i].name = "renamed.test"
	}
	pool.mu.Unlock()
	if err := pool.rebuild(); err != nil {
		t.Fatal(err)
	}
	for range 4 {
		p.get("/")
	}
	eventually(t, "ejection of the backend that fails", func() bool {
		m := pool.Snapshot().Find(hostOf(bad.URL))
		return m.Name == "renamed.test" && m.EjectedNow()
	})
}
