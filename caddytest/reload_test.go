package caddytest

import (
	"net"
	"net/http"
	"reflect"
	"strings"
	"testing"
)

const reloadable = `{
	lb_pool p {
		backend {$A} weight 3
		backend {$B} weight 1
		backend {$C} weight 1
		health_check http /health {
			interval 100ms
			timeout 5s
			consecutive_failure 3
		}
	}
}
http://127.0.0.1:{$PORT} {
	lb_proxy {
		pool p
	}
}
`

func TestReloadRemembersADeadBackend(t *testing.T) {
	b := NewBackends(t, "A", "B", "C")
	s := Start(t, reloadable, addresses(b...))
	// It fails its checks but would answer requests, so that each one given to it is counted.
	b[0].SetHealth(http.StatusServiceUnavailable)
	s.waitState("p", b[0].Addr, "down")
	before := b[0].Hits()
	for i := range 5 {
		// An edit beside the pool, and one of the check itself.
		edited := strings.Replace(reloadable, "lb_proxy {", "lb_proxy {\n\t\theader_up X-Edit "+strings.Repeat("i", i+1), 1)
		edited = strings.Replace(edited, "interval 100ms", "interval "+[]string{"100ms", "200ms", "10s"}[i%3], 1)
		s.mustReload(edited)
		if state := s.backend("p", b[0].Addr).State; state != "down" {
			t.Fatalf("after reload %d the dead backend is %s", i+1, state)
		}
		s.spread(s.URL("PORT", "/"), 40)
	}
	if got := b[0].Hits() - before; got != 0 {
		t.Errorf("a backend known to be dead got %d requests after reloads", got)
	}
}

func TestReloadOfAWeightKeepsState(t *testing.T) {
	b := NewBackends(t, "A", "B", "C")
	s := Start(t, reloadable, addresses(b...))
	s.spread(s.URL("PORT", "/"), 50)
	b[1].SetHealth(http.StatusServiceUnavailable)
	s.waitState("p", b[1].Addr, "down")
	before := s.pool("p")

	s.mustReload(strings.Replace(reloadable, "{$A} weight 3", "{$A} weight 4", 1))
	after := s.pool("p")
	for i := range before.Backends {
		if before.Backends[i].Address == b[0].Addr {
			before.Backends[i].Weight = 4
		}
	}
	if !reflect.DeepEqual(before, after) {
		t.Errorf("the reload changed more than the weight:\nbefore %+v\nafter  %+v", before, after)
	}
	count := s.spread(s.URL("PORT", "/"), 100)
	if count["A"] != 80 || count["C"] != 20 {
		t.Errorf("shares are %v, want A 80 and C 20", count)
	}
}

func TestFailedReloadChangesNothing(t *testing.T) {
	b := NewBackends(t, "A", "B", "C", "X")
	s := Start(t, reloadable, addresses(b...))
	s.spread(s.URL("PORT", "/"), 50)
	b[2].SetHealth(http.StatusServiceUnavailable)
	s.waitState("p", b[2].Addr, "down")
	s.patch("p", b[1].Addr, `{"drain":true}`)
	taken, err := net.Listen("tcp", "127.0.0.1:"+freePort(t))
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	s.vars["TAKEN"] = taken.Addr().String()

	// Each edit would change weights and add a backend, if the rest of the configuration were not bad.
	edited := strings.NewReplacer("{$A} weight 3", "{$A} weight 9", "{$B} weight 1", "{$X} weight 7").Replace(reloadable)
	bad := map[string]string{
		"trusted_proxies": strings.Replace(edited, "pool p\n\t}", "pool p\n\t\ttrusted_proxies 192.0.2.0/24\n\t}", 1),
		"port in use":     edited + "http://{$TAKEN} {\n\tlb_proxy {\n\t\tpool p\n\t}\n}\n",
		"policy":          strings.Replace(edited, "weight 7", "weight 7\n\t\tlb_policy maglev", 1),
		"backend twice":   edited + "http://127.0.0.1:{$PORT2} {\n\tlb_proxy {$A} {$X}\n}\n",
	}
	// What the Caddyfile would already refuse is made bad in its JSON, so that loading fails half-way.
	inJSON := map[string]*strings.Replacer{
		"trusted_proxies": strings.NewReplacer("192.0.2.0/24", "300.0.0.0/8"),
		"policy":          strings.NewReplacer(`"maglev"`, `"maglev","table_size":4`),
		"backend twice": strings.NewReplacer(`{"dial":"`+b[0].Addr+`"},{"dial":"`+b[3].Addr+`"}`,
			`{"dial":"`+b[0].Addr+`"},{"dial":"`+b[0].Addr+`"}`),
		"port in use": strings.NewReplacer(),
	}
	for name, caddyfile := range bad {
		t.Run(name, func(t *testing.T) {
			adapted, _, err := adapt(s.expand(caddyfile))
			if err != nil {
				t.Fatal(err)
			}
			config := inJSON[name].Replace(string(adapted))
			if name != "port in use" && config == string(adapted) {
				t.Fatalf("the configuration was not made bad:\n%s", config)
			}
			before := s.pools()
			if err := s.ReloadJSON(config); err == nil {
				t.Fatal("the configuration loads")
			}
			if after := s.pools(); !reflect.DeepEqual(before, after) {
				t.Errorf("the failed reload changed the pools:\nbefore %+v\nafter  %+v", before, after)
			}
			if count := s.spread(s.URL("PORT", "/"), 10); count["A"] != 10 {
				t.Errorf("shares are %v, want all at A: B is drained, C down", count)
			}
		})
	}

	// Checks go on for the backends that run, and not for the one that never came to be. Checks it was sent
	// before a configuration failed are not held against it.
	seen := b[3].Checks()
	start := b[0].Checks()
	eventually(t, "checks go on", func() bool { return b[0].Checks() > start+5 })
	if n := b[3].Checks(); n > seen+1 {
		t.Errorf("a backend of a configuration that failed was checked %d times after", n-seen)
	}
	b[2].SetHealth(http.StatusOK)
	s.waitState("p", b[2].Addr, "up")

	// A failed configuration that gave back more than it took would show at the next good one.
	before := s.pool("p")
	s.mustReload(reloadable + "\n# an edit elsewhere\n")
	if after := s.pool("p"); !reflect.DeepEqual(before, after) {
		t.Errorf("a good reload after failed ones forgets:\nbefore %+v\nafter  %+v", before, after)
	}
}

// Every answer during reloads is a good one. That there is an answer is another matter: when Caddy hands its
// listener over, connections that the old server had not accepted yet, or was about to close, end without.
func TestReloadsMidTrafficFailNoRequest(t *testing.T) {
	b := NewBackends(t, "A", "B", "C")
	s := Start(t, reloadable, addresses(b...))
	stop := make(chan struct{})
	answered := make(chan int)
	go func() {
		n := 0
		for {
			select {
			case <-stop:
				answered <- n
				return
			default:
			}
			r, err := fetch(s.Client, newRequest(t, http.MethodGet, s.URL("PORT", "/"), ""))
			if err != nil {
				continue
			}
			if n++; r.Status != http.StatusOK {
				t.Errorf("during reloads: status %d: %s", r.Status, r.Body)
			}
		}
	}()
	for i := range 8 {
		s.mustReload(strings.Replace(reloadable, "weight 3", "weight "+string(rune('1'+i)), 1))
	}
	close(stop)
	if n := <-answered; n == 0 {
		t.Error("no request was answered")
	}
}
