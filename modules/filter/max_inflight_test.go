package filter

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
)

// newInflight returns the filter that text says in a Caddyfile, provisioned, and its chain.
func newInflight(t testing.TB, text string) (*MaxInflight, *Chain) {
	t.Helper()
	f := new(MaxInflight)
	if err := parse(f, text); err != nil {
		t.Fatal(err)
	}
	if f.Name == "" {
		f.Name = t.Name()
	}
	return f, chainOf(t, f)
}

// inflight begins a request of a client as lb_proxy does. end ends it.
func inflight(t testing.TB, c *Chain, client string) (status int, end func()) {
	t.Helper()
	x := fromClient(httptest.NewRequest(http.MethodGet, "http://site/", http.NoBody), client)
	err := c.Request(x, proxied)
	if status = statusOf(t, err); status == http.StatusTooManyRequests && x.Writer.Header().Get("Retry-After") != "1" {
		t.Errorf("refused with %v", x.Writer.Header())
	}
	return status, func() { c.Logging(x, err) }
}

func TestMaxInflight(t *testing.T) {
	f, c := newInflight(t, "max_inflight {client_ip} 2")
	var ends []func()
	for i, want := range []int{0, 0, 429, 429} {
		status, end := inflight(t, c, "192.0.2.1")
		if status != want {
			t.Fatalf("request %d: %d, want %d", i, status, want)
		}
		ends = append(ends, end)
	}
	if status, end := inflight(t, c, "192.0.2.2"); status != 0 {
		t.Error("a client is refused for another one")
	} else {
		end()
	}
	// One that was refused gives back nothing, and one that ends twice gives back one place.
	ends[3]()
	ends[2]()
	if status, _ := inflight(t, c, "192.0.2.1"); status != 429 {
		t.Error("a refused request gave back a place")
	}
	ends[0]()
	ends[0]()
	status, end := inflight(t, c, "192.0.2.1")
	if status != 0 {
		t.Error("the place was not given back")
	}
	if again, _ := inflight(t, c, "192.0.2.1"); again != 429 {
		t.Error("a place was given back twice")
	}
	end()
	ends[1]()
	if n := f.state.total(); n != 0 {
		t.Errorf("%d places are left", n)
	}
	for i := range f.state.shards {
		if n := len(f.state.shards[i].active); n != 0 {
			t.Errorf("%d keys are held without a request", n)
		}
	}
}

// TestPanicGivesThePlaceBack: a filter behind that panics, and one that fails.
func TestPanicGivesThePlaceBack(t *testing.T) {
	for name, run := range map[string]func() error{
		"panic":   func() error { panic("of a test") },
		"abort":   func() error { panic(http.ErrAbortHandler) },
		"failure": func() error { return errors.New("of a test") },
	} {
		f, c := newInflight(t, "max_inflight {client_ip} 1 {\n name "+name+"\n}")
		x := fromClient(httptest.NewRequest(http.MethodGet, "http://site/", http.NoBody), "192.0.2.1")
		func() {
			defer func() { _ = recover() }()
			defer func() { c.Logging(x, nil) }() // as lb_proxy does
			_ = c.Request(x, NextFunc(run))
		}()
		if n := f.state.total(); n != 0 {
			t.Errorf("%s: %d places are left", name, n)
		}
	}
}

func TestMaxInflightOverReload(t *testing.T) {
	old, oldChain := newInflight(t, "max_inflight {client_ip} 1")
	_, end := inflight(t, oldChain, "192.0.2.1")
	same, sameChain := newInflight(t, "max_inflight {client_ip} 1")
	other, otherChain := newInflight(t, "max_inflight {client_ip} 2")
	for range 2 {
		if err := old.Cleanup(); err != nil {
			t.Fatal(err)
		}
	}
	if status, _ := inflight(t, sameChain, "192.0.2.1"); status != 429 {
		t.Error("the request of the old configuration does not count")
	}
	_, endOther := inflight(t, otherChain, "192.0.2.1")
	end()
	if n, m := same.state.total(), other.state.total(); n != 0 || m != 1 {
		t.Errorf("%d and %d places are taken, want 0 and 1", n, m)
	}
	// The last one ends when its configuration has gone.
	_ = other.Cleanup()
	endOther()
	if n := other.state.total(); n != 0 {
		t.Errorf("%d places are left", n)
	}
}

func TestMaxInflightDryRun(t *testing.T) {
	f, c := newInflight(t, "max_inflight {client_ip} 1 {\n dry_run\n}")
	var ends []func()
	for range 3 {
		status, end := inflight(t, c, "192.0.2.1")
		if status != 0 {
			t.Error("a dry run refused")
		}
		ends = append(ends, end)
	}
	if a, d, n := f.state.results.get(allowed), f.state.results.get(dryRun), f.state.total(); a != 1 || d != 2 || n != 3 {
		t.Errorf("%d allowed, %d in dry run, %d under way", a, d, n)
	}
	for _, end := range ends {
		end()
	}
	if n := f.state.total(); n != 0 {
		t.Errorf("%d places are left", n)
	}
}

// TestInflightOfManyClients: nobody gets more than its limit, and nothing is left behind.
func TestInflightOfManyClients(t *testing.T) {
	f, c := newInflight(t, "max_inflight {client_ip} 3")
	var mu sync.Mutex
	active := make(map[string]int)
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 300 {
				client := fmt.Sprintf("192.0.2.%d", (g+i)%2)
				status, end := inflight(t, c, client)
				if status == 0 {
					mu.Lock()
					if active[client]++; active[client] > 3 {
						t.Errorf("%d requests of %s at once", active[client], client)
					}
					mu.Unlock()
					mu.Lock()
					active[client]--
					mu.Unlock()
				}
				end()
			}
		})
	}
	wg.Wait()
	if n := f.state.total(); n != 0 {
		t.Errorf("%d places are left", n)
	}
}

func TestMaxInflightFromJSON(t *testing.T) {
	f := new(MaxInflight)
	unmarshalJSON(t, f, `{"key":"{http.vars.client_ip}","max":1,"name":"json","dry_run":true}`)
	if err := load(t, f); err != nil {
		t.Error(err)
	}
	for text, want := range map[string]string{`{"max":1}`: "the key is missing", `{"key":"{a}"}`: "the number is 0", `{"key":"a","max":1}`: "the same"} {
		f := new(MaxInflight)
		unmarshalJSON(t, f, text)
		if err := load(t, f); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}

// TestLargeMapsAreGivenBack: after many clients at once have gone, their memory has, too.
func TestLargeMapsAreGivenBack(t *testing.T) {
	f, _ := newInflight(t, "max_inflight {client_ip} 1")
	places := make([]uint64, 100_000)
	for i := range places {
		places[i], _ = f.state.enter(fmt.Sprint(i), 1, false)
	}
	for _, place := range places {
		f.state.leave(place)
	}
	for i := range f.state.shards {
		if s := &f.state.shards[i]; s.peak != 0 || len(s.active) != 0 {
			t.Fatalf("shard %d still has the map of %d keys", i, s.peak)
		}
	}
}
