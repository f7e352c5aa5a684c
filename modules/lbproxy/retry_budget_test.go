package lbproxy

import (
	"net/http"
	"strings"
	"sync"
	"testing"
)

func TestRetryBudgetBoundsTheStorm(t *testing.T) {
	bad := [2]*backend{answering(t, 503, "a"), answering(t, 503, "b")}
	p := startProxy(t, upstreams(bad[0].URL, bad[1].URL)+
		`,"load_balancing":{"retries":3,"retry_on":["5xx"],"retry_budget":{"percent":20,"min_per_second":0}}`)
	const requests = 300
	for range requests {
		if r := p.get("/"); r.status != 503 {
			t.Fatalf("status %d", r.status)
		}
	}
	attempts := bad[0].count() + bad[1].count()
	if most := requests * 12 / 10; attempts > most || attempts < most-20 {
		t.Errorf("%d attempts for %d requests, at most %d", attempts, requests, most)
	}
	state := runningPools()[0].state
	if made, denied := state.retried.Load(), state.denied[deniedBudget].Load(); int(made) != attempts-requests || denied == 0 {
		t.Errorf("%d retries counted, %d denied, %d made", made, denied, attempts-requests)
	}
}

// Going on to the next backend when one cannot be connected to costs nobody anything, and needs no budget.
func TestConnectFailoverNeedsNoBudget(t *testing.T) {
	p := startProxy(t, upstreams(deadAddress(t), deadAddress(t), startBackend(t, text("fine")).URL)+
		balancing(`"retries":1,"retry_budget":{"percent":0.001,"min_per_second":0}`))
	for range 20 {
		if r := p.send(http.MethodPost, "/", strings.NewReader("x")); r.body != "fine" {
			t.Fatalf("got %d %q", r.status, r.body)
		}
	}
}

func TestLimitOfRetriesUnderWay(t *testing.T) {
	release := make(chan struct{})
	slow := startBackend(t, func(http.ResponseWriter, *http.Request) { <-release })
	p := startProxy(t, upstreams(answering(t, 503, "first").URL, slow.URL)+balancing(`"retry_on":["503"],"limits":{"retries":2}`))
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() { p.get("/") })
	}
	eventually(t, "two retries under way", func() bool { return slow.count() == 2 })
	if r := p.get("/"); r.status != 503 || r.body != "first" {
		t.Errorf("got %d %q", r.status, r.body)
	}
	close(release)
	wg.Wait()
	state := runningPools()[0].state
	if n := state.denied[deniedLimit].Load(); n != 1 {
		t.Errorf("%d denied", n)
	}
	eventually(t, "no retry under way", func() bool { return state.retrying.Load() == 0 })
	if r := p.get("/"); r.status != 200 {
		t.Errorf("got %d once there is room again", r.status)
	}
}
