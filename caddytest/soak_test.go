package caddytest

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

var soakTime = flag.Duration("soak", 4*time.Second, "how long TestSoak keeps the server busy")

const soakSite = `{
	grace_period 10s
	servers {
		protocols h1 h2 h2c
	}
	lb_pool web {
		backend {$A} max_requests 8
		backend {$B} max_requests 8 weight 2
		backend {$C} max_requests 8
		queue 100 20s
	}
	lb_pool streams {
		backend h2c://{$D}
		backend h2c://{$E}
	}
}
http://127.0.0.1:{$PORT} {
	header X-Config 0
	lb_proxy /stream {
		pool streams
	}
	lb_proxy {
		pool web
		lb_retries 3
	}
}
`

// soakAtRest has nothing to balance.
const soakAtRest = `http://127.0.0.1:{$PORT} {
	respond "at rest"
}
`

// soakEdition is the configurations that take turns. A reload with the same one would change
// nothing.
func soakEdition(n int) string {
	edited := strings.Replace(soakSite, "X-Config 0", fmt.Sprint("X-Config ", n), 1)
	if n%2 == 1 {
		edited = strings.Replace(edited, "weight 2", "weight 3", 1)
	}
	return edited
}

// soak is a server under all kinds of requests while backends die and configurations change. What
// may go wrong:
//
//   - an answer or a stream of a backend that dies, or that breaks it off itself; the client has to see that it broke;
//   - a WebSocket that is open during a reload, as stream_close_delay is not set;
//   - the first request of a connection that was opened during a reload: on a busy machine the kernel resets what
//     waits in the queue of the old listener;
//   - a request with a body that meets the GOAWAY of a reload: Caddy's HTTP/2 server names the last
//     stream only once, so the client knows that its own was refused but cannot send the body again.
type soak struct {
	*Server
	web, streams []*Backend
	stop         chan struct{}

	deaths  map[*Backend]*spells // by the first backend of a pool
	reloads spells

	mu      sync.Mutex
	done    map[string]int // exchanges that ended well, by kind
	excused map[string]int // those that did not, for a reason that is allowed
	faults  []string
}

// TestSoak has every answer checked to be that of its request, and nothing left over at the end.
// Minutes of it need a larger -timeout as well.
func TestSoak(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes seconds")
	}
	k := &soak{
		web: NewBackends(t, "A", "B", "C"), streams: NewBackends(t, "D", "E"), stop: make(chan struct{}),
		deaths: make(map[*Backend]*spells), done: make(map[string]int), excused: make(map[string]int),
	}
	backends := append(slices.Clone(k.web), k.streams...)
	for _, b := range backends {
		b.Do(serveSoak)
	}
	k.deaths[k.web[0]], k.deaths[k.streams[0]] = new(spells), new(spells)
	k.Server = Start(t, soakEdition(0), addresses(backends...))

	k.busy(min(*soakTime/4, 2*time.Second)) // so that what is made once has been made
	before := k.leftovers()
	k.mustReload(soakEdition(0))
	k.busy(*soakTime)
	k.within(before)

	t.Logf("done %v, excused %v", k.done, k.excused)
	for _, kind := range soakKinds {
		if k.done[kind.name] == 0 {
			t.Errorf("no %s ended well", kind.name)
		}
	}
	for i, fault := range k.faults {
		if i == 20 {
			t.Errorf("and %d more", len(k.faults)-i)
			break
		}
		t.Error(fault)
	}
}

// busy sends requests of all kinds for a time, while backends die and configurations change.
func (k *soak) busy(d time.Duration) {
	k.stop = make(chan struct{})
	var work, trouble sync.WaitGroup
	for _, kind := range soakKinds {
		for range kind.clients {
			work.Go(func() {
				client := kind.client(k.t)
				defer client.CloseIdleConnections()
				for k.goesOn() {
					kind.exchange(k, kind.name, client)
				}
			})
		}
	}
	trouble.Go(func() { k.kill(k.web[0], k.web[2]) })
	trouble.Go(func() { k.kill(k.streams[0], k.streams[1]) })
	trouble.Go(func() { k.reloadOften(min(5*time.Second, d/3)) })
	time.Sleep(d)
	close(k.stop)
	trouble.Wait()
	work.Wait()
}

func (k *soak) goesOn() bool {
	select {
	case <-k.stop:
		return false
	default:
		return true
	}
}

// pause waits for a time, or until the end.
func (k *soak) pause(d time.Duration) {
	select {
	case <-k.stop:
	case <-time.After(d):
	}
}

// kill takes down one of a pool's backends after another, and brings it back.
func (k *soak) kill(backends ...*Backend) {
	for i := 0; k.goesOn(); i++ {
		k.pause(time.Duration(200+rand.IntN(600)) * time.Millisecond)
		b := backends[i%len(backends)]
		k.deaths[backends[0]].during(b.Down)
		k.pause(time.Duration(50+rand.IntN(400)) * time.Millisecond)
		b.Up()
	}
}

// reloadOften loads the next configuration each time.
func (k *soak) reloadOften(every time.Duration) {
	for n := 1; ; n++ {
		if k.pause(every); !k.goesOn() {
			return
		}
		k.reloads.during(func() {
			if err := k.Reload(soakEdition(n)); err != nil {
				k.t.Error(err)
			}
		})
	}
}

// leftover is what a server at rest holds.
type leftover struct{ goroutines, descriptors int }

var totalGoroutines = regexp.MustCompile(`goroutine profile: total (\d+)`)

// leftovers is what the server holds when no request is under way and no configuration has a pool:
// what it has come down to when it does so no further for a second.
func (k *soak) leftovers() leftover {
	k.t.Helper()
	eventually(k.t, "every place is given back", func() bool {
		return !slices.ContainsFunc([]string{"web", "streams"}, func(pool string) bool {
			c := k.coping(pool)
			return c.Queued > 0 || slices.ContainsFunc(c.Backends, func(l backendLevel) bool { return l.Active > 0 })
		})
	})
	k.mustReload(soakAtRest)
	least, at := k.holds(), time.Now()
	for time.Since(at) < time.Second {
		time.Sleep(20 * time.Millisecond)
		if now := k.holds(); now.goroutines < least.goroutines || now.descriptors < least.descriptors {
			least, at = now, time.Now()
		}
	}
	return least
}

// holds counts now.
func (k *soak) holds() (l leftover) {
	k.t.Helper()
	r := k.Admin(http.MethodGet, "/debug/pprof/goroutine?debug=1", "")
	if m := totalGoroutines.FindStringSubmatch(r.Body); m != nil {
		l.goroutines, _ = strconv.Atoi(m[1])
	}
	files, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", k.cmd.Process.Pid))
	if err != nil {
		k.t.Skip("descriptors are counted on Linux only: ", err)
	}
	l.descriptors = len(files)
	return l
}

// within waits until the server holds no more than before.
func (k *soak) within(before leftover) {
	k.t.Helper()
	now := k.leftovers()
	deadline := time.Now().Add(2 * patience())
	for now.goroutines > before.goroutines || now.descriptors > before.descriptors {
		if time.Now().After(deadline) {
			r := k.Admin(http.MethodGet, "/debug/pprof/goroutine?debug=1", "")
			k.t.Errorf("before %+v, now %+v\n%.8000s", before, now, r.Body)
			return
		}
		time.Sleep(20 * time.Millisecond)
		now = k.holds()
	}
	k.t.Logf("before %+v, after %+v", before, now)
}
