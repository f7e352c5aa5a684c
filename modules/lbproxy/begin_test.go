package lbproxy

import (
	"net/http"
	"sync/atomic"
	"testing"
)

// A check that other pools run already may find a backend down while a pool is made, as those of dynamic answers are while requests come:
// nobody tells the pool of it before it begins.
func TestPoolBeginsWithWhatChecksFoundMeanwhile(t *testing.T) {
	var down atomic.Bool
	b := startBackend(t, func(w http.ResponseWriter, _ *http.Request) {
		if down.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	startProxy(t, upstreams(b.URL)+`,"health_checks":{"checks":[{"check":{"kind":"http"},"interval":"10ms","timeout":"10s"}]}`)
	running := runningPools()[0]
	made, err := running.blueprint.newPool(identity{name: "made"}, true, running.specs)
	if err != nil {
		t.Fatal(err)
	}
	defer made.release()
	down.Store(true)
	eventually(t, "failed check", func() bool { return running.Snapshot().Selectable() == 0 })
	made.begin()
	if made.Snapshot().Selectable() != 0 {
		t.Error("the backend is down, and the pool that begins does not know")
	}
}
