package caddytest

import (
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

const clusterLimits = `{
	lb_cluster {$REDIS} {
		timeout 1s
	}
}
http://127.0.0.1:{$PORT} {
	lb_proxy {$A} {
		filter rate_limit {client_ip} 10/h burst 10
	}
}
http://127.0.0.1:{$PORT2} {
	lb_proxy {$A} {
		filter rate_limit {client_ip} 1000000/s burst 1000000
	}
}
`

// startLimited starts instances of one cluster that limit clients.
func startLimited(t *testing.T, r *Redis, n int) []*Server {
	t.Helper()
	b := NewBackend(t, "A")
	all := make([]*Server, n)
	for i := range all {
		all[i] = Start(t, clusterLimits, map[string]string{"A": b.Addr, "REDIS": r.URL()})
	}
	return all
}

func TestClusterSharesLimits(t *testing.T) {
	r := StartRedis(t)
	all := startLimited(t, r, 2)
	allowed := func() int {
		n := 0
		for i := range 30 {
			s := all[i%len(all)]
			switch reply := s.Get(s.URL("PORT", "/")); reply.Status {
			case http.StatusOK:
				n++
			case http.StatusTooManyRequests:
			default:
				t.Fatalf("status %d: %s", reply.Status, reply.Body)
			}
		}
		return n
	}
	if n := allowed(); n != 10 {
		t.Errorf("two instances allowed %d requests together, want 10", n)
	}
	for _, s := range all {
		s.mustReload(clusterLimits + "\n# an edit elsewhere\n")
	}
	if n := allowed(); n != 0 {
		t.Errorf("after a reload they allowed %d more", n)
	}
	r.Down()
	for _, s := range all {
		s.WaitLog(t, "that Redis is away", func(l LogLine) bool { return strings.HasPrefix(l.Text("msg"), "Redis is away") })
	}
	if n := allowed(); n != 20 {
		t.Errorf("without Redis they allowed %d requests, want 10 each", n)
	}
}

// Redis goes and comes under load, which no request notices.
func TestClusterLimitsOutliveRedis(t *testing.T) {
	r := StartRedis(t)
	s := startLimited(t, r, 1)[0]
	var stop atomic.Bool
	var clients sync.WaitGroup
	var served, longest atomic.Int64
	for range 4 {
		clients.Go(func() {
			for !stop.Load() {
				began := time.Now()
				reply, err := fetch(s.Client, newRequest(t, http.MethodGet, s.URL("PORT2", "/"), ""))
				if err != nil || reply.Status != http.StatusOK {
					t.Errorf("a request failed: %d, %v", reply.Status, err)
					return
				}
				served.Add(1)
				if took := int64(time.Since(began)); took > longest.Load() {
					longest.Store(took)
				}
			}
		})
	}
	defer clients.Wait()
	defer stop.Store(true)
	up := func() float64 {
		return s.metric("caddy_lb_cluster_up", "redis", strings.TrimPrefix(r.URL(), "redis://")+"/0")
	}
	serve := func(what string) {
		t.Helper()
		began, before := time.Now(), served.Load()
		longest.Store(0)
		eventually(t, what, func() bool { return served.Load() >= before+1000 || t.Failed() })
		t.Logf("%s: %.0f requests/s, the longest took %s", what, 1000/time.Since(began).Seconds(), time.Duration(longest.Load()))
	}
	serve("with Redis")
	r.Down()
	eventually(t, "Redis is known to be away", func() bool { return up() == 0 })
	serve("without Redis")
	r.Up()
	eventually(t, "Redis is known to be back", func() bool { return up() == 1 })
	serve("with Redis again")
}
