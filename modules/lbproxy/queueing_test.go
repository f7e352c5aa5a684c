package lbproxy

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddylb/caddy-lb/lb"
	"github.com/caddylb/caddy-lb/modules/selection"
)

// hookPolicy leaves the choice to a test.
type hookPolicy struct{}

type hookPicker struct{ tier *lb.Tier }

var hook struct {
	sync.Mutex
	pick func(r *selection.Request, m *lb.Member) *lb.Member // given the only member of the pool
}

func init() { caddy.RegisterModule(hookPolicy{}) }

func (hookPolicy) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.lb_proxy.selection.hook", New: func() caddy.Module { return new(hookPolicy) }}
}

func (hookPolicy) NewPicker(t *lb.Tier, _ lb.Picker) (lb.Picker, error) { return hookPicker{t}, nil }

func (hookPicker) Pick(*lb.Pick) *lb.Member { return nil }

func (p hookPicker) PickRequest(r *selection.Request) *lb.Member {
	hook.Lock()
	defer hook.Unlock()
	return hook.pick(r, p.tier.Members[0])
}

func hookPick(f func(r *selection.Request, m *lb.Member) *lb.Member) {
	hook.Lock()
	defer hook.Unlock()
	hook.pick = f
}

// onePlaceWithQueue is the JSON of a backend with one place, and a queue before it.
func onePlaceWithQueue(url, more string) string {
	return fmt.Sprintf(`"upstreams":[{"dial":%q,"max_requests":1}],"load_balancing":{"queue":{"size":10,"timeout":"1h"}%s}`, hostOf(url), more)
}

// goGet sends a GET request whose reply can be waited for.
func (p *proxy) goGet(path string) chan reply {
	ch := make(chan reply, 1)
	go func() {
		res, err := p.client.Get(p.url(path))
		if err != nil {
			ch <- reply{body: err.Error()}
			return
		}
		defer res.Body.Close()
		body, _ := io.ReadAll(res.Body)
		ch <- reply{status: res.StatusCode, header: res.Header, body: string(body)}
	}()
	return ch
}

func queued(p *pool, n int) func() bool { return func() bool { return p.state.queue.Len() == n } }

// The only place is free again when the request has seen that it had none, and taken once more when it looks: it lines up.
func TestPlaceThatComesAndGoesIsWaitedFor(t *testing.T) {
	b := startBackend(t, text("ok"))
	p := startProxy(t, onePlaceWithQueue(b.URL, `,"selection_policy":{"policy":"hook"}`))
	pool := runningPools()[0]
	other := pool.Snapshot().Members[0]
	other.Acquire()
	looks := 0
	hookPick(func(r *selection.Request, m *lb.Member) *lb.Member {
		switch looks++; {
		case looks == 1:
			other.Release()
		case looks == 2:
			other.Acquire()
		case r.Accepts(m):
			return m
		}
		return nil
	})
	got := p.goGet("/")
	eventually(t, "request that waits", queued(pool, 1))
	other.Release()
	if r := <-got; r.status != http.StatusOK {
		t.Errorf("status %d: %s", r.status, r.body)
	}
}

// A request that no backend can be found for, though there are places, does not wait for one, nor hold up those behind it.
func TestNobodyWaitsForWhatIsNoPlace(t *testing.T) {
	b := startBackend(t, text("ok"))
	p := startProxy(t, onePlaceWithQueue(b.URL, `,"selection_policy":{"policy":"hook"}`))
	pool := runningPools()[0]
	hookPick(func(r *selection.Request, m *lb.Member) *lb.Member {
		if r.HTTP.URL.Path == "/nobody" || !r.Accepts(m) {
			return nil
		}
		return m
	})
	if r := p.get("/nobody"); r.status != http.StatusServiceUnavailable {
		t.Errorf("with an empty queue: status %d", r.status)
	}
	other := pool.Snapshot().Members[0]
	other.Acquire()
	var got []chan reply
	for i, path := range []string{"/1", "/nobody", "/2"} {
		got = append(got, p.goGet(path))
		eventually(t, "request that waits", queued(pool, i+1))
	}
	other.Release()
	for i, want := range []int{http.StatusOK, http.StatusServiceUnavailable, http.StatusOK} {
		if r := <-got[i]; r.status != want {
			t.Errorf("request %d: status %d, want %d: %s", i, r.status, want, r.body)
		}
	}
}

// A retry lines up behind those who wait, also when every backend has had the request.
func TestRetryWaitsInLine(t *testing.T) {
	for name, limits := range map[string]string{"places of the backend": "", "places of the pool": `,"limits":{"requests":1}`} {
		t.Run(name, func(t *testing.T) {
			came, letGo := make(chan string, 10), make(chan struct{}, 10)
			var breaks sync.Once
			b := startBackend(t, func(_ http.ResponseWriter, r *http.Request) {
				came <- r.URL.Path
				<-letGo
				if r.URL.Path == "/again" {
					breaks.Do(func() { panic(http.ErrAbortHandler) })
				}
			})
			p := startProxy(t, onePlaceWithQueue(b.URL, `,"retries":1`+limits))
			pool := runningPools()[0]
			var got []chan reply
			var order []string
			for i, path := range []string{"/again", "/1", "/2"} {
				got = append(got, p.goGet(path))
				if i == 0 {
					order = append(order, <-came)
				}
				eventually(t, "request that waits", queued(pool, i))
			}
			letGo <- struct{}{}
			order = append(order, <-came)
			eventually(t, "retry that waits", queued(pool, 2))
			for range 3 {
				letGo <- struct{}{}
			}
			for i, ch := range got {
				if r := <-ch; r.status != http.StatusOK {
					t.Errorf("request %d: status %d: %s", i, r.status, r.body)
				}
			}
			for range len(came) {
				order = append(order, <-came)
			}
			if want := []string{"/again", "/1", "/2", "/again"}; !slices.Equal(order, want) {
				t.Errorf("the backend served %v, want %v", order, want)
			}
		})
	}
}

// A limit that was lowered to look at the backend rises again with time, though no request ends then.
func TestQueueSeesTheEndOfAProbe(t *testing.T) {
	b := startBackend(t, text("ok"))
	p := startProxy(t, upstreams(b.URL)+`,"load_balancing":{"queue":{"size":10,"timeout":"1h"},"adaptive_concurrency":{"initial":20}}`)
	pool := runningPools()[0]
	limits := pool.Options().Adaptive
	var clock atomic.Int64
	limits.Now = func() time.Duration { return time.Duration(clock.Load()) }
	pool.refresh() // requests see the clock
	m := pool.Snapshot().Members[0]
	for lowered := false; !lowered; lowered = m.Limit() < 10 {
		now := clock.Add(int64(10 * time.Millisecond))
		m.AdaptiveLimit().Observe(limits, time.Millisecond, time.Duration(now), 1000, false)
	}
	var held int
	for m.Acquire() {
		held++
	}
	got := p.goGet("/")
	eventually(t, "request that waits", queued(pool, 1))
	clock.Add(int64(time.Minute))
	if r := <-got; r.status != http.StatusOK {
		t.Errorf("status %d: %s", r.status, r.body)
	}
	for range held {
		m.Release()
	}
}

// A retry that waited in vain is not followed by another one: the queue's timeout is how long a request waits for a place.
func TestRetryWaitsInVainOnce(t *testing.T) {
	var other *lb.Member
	b := startBackend(t, func(http.ResponseWriter, *http.Request) {
		other.Acquire() // takes the place that the request is about to leave
		panic(http.ErrAbortHandler)
	})
	config := strings.Replace(onePlaceWithQueue(b.URL, `,"retries":3`), "1h", "20ms", 1)
	p := startProxy(t, config+`,"verbose_logs":true`, serverOptions{log: `"level":"DEBUG"`})
	other = &lb.Member{Backend: runningPools()[0].Snapshot().Members[0].Backend}
	defer other.Release()
	if r := p.get("/"); r.status != http.StatusBadGateway {
		t.Errorf("status %d, want that of what went wrong", r.status)
	}
	logLine(t, "handled request") // the last of its entries
	if n := retries(); n != 1 {
		t.Errorf("%d retries", n)
	}
}

// retries counts the retries that were logged.
func retries() int {
	logged.Lock()
	defer logged.Unlock()
	return strings.Count(logged.text.String(), `"retrying"`)
}
