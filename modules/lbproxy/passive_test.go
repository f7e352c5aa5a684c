package lbproxy

import (
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddyserver/caddy/v2"
)

func TestPassiveForgets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := acquirePassive(&PassiveHealthChecks{FailDuration: caddy.Duration(10 * time.Second), MaxFails: 2}, "b")
		defer p.release()
		var changes atomic.Int32
		cancel := p.subscribe(func() { changes.Add(1) })
		defer cancel()
		expect := func(healthy bool, fails int, wantChanges int32) {
			t.Helper()
			synctest.Wait()
			if p.Healthy() != healthy || p.Fails() != fails || changes.Load() != wantChanges {
				t.Errorf("healthy %v, %d fails, %d changes; want %v, %d, %d", p.Healthy(), p.Fails(), changes.Load(), healthy, fails, wantChanges)
			}
		}
		p.strike(time.Now())
		expect(true, 1, 0)
		time.Sleep(4 * time.Second)
		p.strike(time.Now())
		expect(false, 2, 1)
		p.strike(time.Now())
		expect(false, 3, 1)
		time.Sleep(6 * time.Second)
		expect(false, 2, 1)
		time.Sleep(4 * time.Second)
		expect(true, 0, 2)
		p.strike(time.Now())
		expect(true, 1, 2)
		time.Sleep(10 * time.Second)
		expect(true, 0, 2)
	})
}

func TestPassiveOutlivesItsConfiguration(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := &PassiveHealthChecks{FailDuration: caddy.Duration(time.Minute)}
		old := acquirePassive(cfg, "b")
		old.strike(time.Now())
		next := acquirePassive(&PassiveHealthChecks{FailDuration: caddy.Duration(time.Minute)}, "b")
		old.release()
		if next.Healthy() {
			t.Error("the failure was forgotten with the old configuration")
		}
		other := acquirePassive(&PassiveHealthChecks{FailDuration: caddy.Duration(time.Hour)}, "b")
		if !other.Healthy() {
			t.Error("another configuration counts the same failures")
		}
		other.release()
		next.release()
		again := acquirePassive(cfg, "b")
		defer again.release()
		if !again.Healthy() {
			t.Error("a failure is remembered when nobody asked for it")
		}
	})
}

func TestPassiveIsFailure(t *testing.T) {
	p := &passive{config: PassiveHealthChecks{
		UnhealthyStatus: []int{5, 503, 429}, UnhealthyLatency: caddy.Duration(time.Second),
	}}
	for _, tc := range []struct {
		try  try
		want bool
	}{
		{try{Status: 200}, false},
		{try{Status: 404}, false},
		{try{Status: 429}, true},
		{try{Status: 503}, true},
		{try{Status: 200, Latency: time.Second}, true},
		{try{Status: 200, Latency: time.Second - 1}, false},
		{try{Cause: causeConnect}, true},
		{try{Cause: causeTimeout, Latency: time.Hour}, true},
		{try{Cause: causeBroken}, true},
		{try{Cause: causeProtocol}, true},
		{try{Status: 200, Cause: causeBroken}, true},
		{try{Cause: causeCanceled, Err: errors.New("x"), Latency: time.Hour}, false},
		{try{Cause: causeBody, Latency: time.Hour}, false},
		{try{Status: 200, Cause: causeCanceled}, false},
		{try{Status: 500, Cause: causeCanceled}, true},
	} {
		if got := p.isFailure(&tc.try); got != tc.want {
			t.Errorf("%+v: %v", tc.try, got)
		}
	}
}

func TestOneAnswerIsOneStrike(t *testing.T) {
	b := startBackend(t, func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(503) })
	p := startProxy(t, upstreams(b.URL)+`,"health_checks":{"passive":{"fail_duration":"1h","max_fails":3,"unhealthy_status":[5,503],"unhealthy_latency":1}}`)
	for i, want := range []int{1, 2, 3} {
		if r := p.get("/"); r.status != 503 {
			t.Fatalf("status %d", r.status)
		}
		m := runningPools()[0].Snapshot().Members[0]
		eventually(t, fmt.Sprint("strike ", i), func() bool { return recentFails(m) >= want })
		if n := recentFails(m); n != want {
			t.Errorf("%d strikes after %d answers", n, want)
		}
	}
	eventually(t, "that the backend is out", func() bool { return runningPools()[0].Snapshot().Selectable() == 0 })
	p.get("/")
	if b.count() != 3 {
		t.Errorf("a backend with 3 of 3 failures got request %d", b.count())
	}
}

func TestStrikesSurviveAReload(t *testing.T) {
	var hits atomic.Int32
	bad := startBackend(t, func(w http.ResponseWriter, r *http.Request) { hits.Add(1); w.WriteHeader(500) })
	good := startBackend(t, text("fine"))
	handler := upstreams(bad.URL, good.URL) + `,"load_balancing":{"selection_policy":{"policy":"first"}},"health_checks":{"passive":{"fail_duration":"1h","unhealthy_status":[500]}}`
	p := startProxy(t, handler)
	p.get("/")
	m := runningPools()[0].Snapshot().Members
	eventually(t, "strike", func() bool { return recentFails(m[0])+recentFails(m[1]) == 1 })
	p.load(handler + `,"verbose_logs":true`)
	for range 5 {
		if r := p.get("/"); r.body != "fine" {
			t.Errorf("got %d", r.status)
		}
	}
	if n := hits.Load(); n != 1 {
		t.Errorf("the struck backend got %d requests", n)
	}
}
