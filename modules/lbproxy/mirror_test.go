package lbproxy

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// copies is a mirror that notes what it gets.
type copies struct {
	*backend
	mu  sync.Mutex
	got []string
}

func startCopies(t *testing.T) *copies {
	c := new(copies)
	c.backend = startBackend(t, func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		c.mu.Lock()
		defer c.mu.Unlock()
		c.got = append(c.got, fmt.Sprintf("%s %s %s %q %s", r.Method, r.Host, r.URL, body, r.Header.Get("X-Added")))
	})
	return c
}

func (c *copies) list() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.got
}

// mirrorCounts waits until the pool of the given mirror counted so many copies with a result.
func mirrorCounts(t *testing.T, address string, result mirrorResult, want uint64) {
	t.Helper()
	name := strings.TrimPrefix(address, "http://")
	eventually(t, fmt.Sprintf("%d copies %s", want, mirrorResults[result]), func() bool {
		for _, p := range runningPools() {
			if p.Name() == name || strings.HasSuffix(p.Name(), " mirror") && p.dials()[0] == name {
				return p.state.mirrored[result].Load() == want
			}
		}
		return false
	})
}

func TestMirror(t *testing.T) {
	c := startCopies(t)
	good := startBackend(t, func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(w, r.Body) })
	p := startProxy(t, upstreams(good.URL)+`,"mirror":[{"to":"`+c.URL+`"}],"headers":{"request":{"set":{"X-Added":["{http.request.header.X-In} {http.request.host}"]}}}`)
	if r := p.get("/path?q=1", "Host", "a.example", "X-In", "in"); r.status != 200 {
		t.Errorf("got %d", r.status)
	}
	mirrorCounts(t, c.URL, mirrorAnswered, 1)
	if r := p.send("POST", "/", strings.NewReader("the body"), "Host", "a.example"); r.body != "the body" {
		t.Errorf("got %q", r.body)
	}
	mirrorCounts(t, c.URL, mirrorAnswered, 2)
	want := []string{`GET a.example /path?q=1 "" in a.example`, `POST a.example / "the body" a.example`}
	if got := c.list(); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("the mirror got\n%q, want\n%q", got, want)
	}
}

// A copy is made behind other handlers, and still knows what the client asked for.
func TestMirrorKnowsTheOriginalRequest(t *testing.T) {
	c := startCopies(t)
	p := startProxy(t, upstreams(startBackend(t, text("fine")).URL)+`,"mirror":[{"to":"`+c.URL+`"}],"headers":{"request":{"set":{"X-Added":["{http.request.orig_uri}"]}}}`,
		serverOptions{before: `{"handler":"rewrite","strip_path_prefix":"/api"}`})
	p.get("/api/path", "Host", "a.example")
	mirrorCounts(t, c.URL, mirrorAnswered, 1)
	if got := c.list(); got[0] != `GET a.example /path "" /api/path` {
		t.Errorf("the mirror got %s", got)
	}
}

func TestMirrorLeavesRequestsAlone(t *testing.T) {
	stop := make(chan struct{})
	slow := startBackend(t, func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-stop:
		case <-r.Context().Done():
		}
	})
	defer close(stop)
	p := startProxy(t, upstreams(startBackend(t, text("fine")).URL)+`,"mirror":[{"to":"`+slow.URL+`"}]`)
	for range maxMirroring + 3 {
		if r := p.get("/"); r.body != "fine" {
			t.Fatalf("got %d %q", r.status, r.body)
		}
	}
	mirrorCounts(t, slow.URL, mirrorDropped, 3)
	// The copies under way end with their configuration, as the end of the test shows.
	p.load(upstreams(startBackend(t, text("fine")).URL))
}

func TestMirrorThatIsDown(t *testing.T) {
	dead := deadAddress(t)
	p := startProxy(t, upstreams(startBackend(t, text("fine")).URL)+`,"mirror":[{"to":"`+dead+`"}]`)
	if r := p.get("/"); r.body != "fine" {
		t.Errorf("got %d %q", r.status, r.body)
	}
	mirrorCounts(t, dead, mirrorFailed, 1)
}

func TestMirrorTakesBodiesThatWereKept(t *testing.T) {
	c := startCopies(t)
	good := startBackend(t, func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) })
	p := startProxy(t, upstreams(good.URL)+`,"mirror":[{"to":"`+c.URL+`"}]`)
	p.send("POST", "/", strings.NewReader(strings.Repeat("x", keepBytes+1)))
	mirrorCounts(t, c.URL, mirrorTooLarge, 1)
	p.send("POST", "/", strings.NewReader(strings.Repeat("x", keepBytes)))
	mirrorCounts(t, c.URL, mirrorAnswered, 1)
	if n := c.count(); n != 1 {
		t.Errorf("%d copies", n)
	}
	p.load(upstreams(good.URL) + `,"mirror":[{"to":"` + c.URL + `"}],"request_buffers":100`)
	p.send("POST", "/", struct{ io.Reader }{strings.NewReader("chunks")})
	eventually(t, "copy of a body of unknown length", func() bool { return len(c.list()) == 2 })
	if got := c.list()[1]; !strings.Contains(got, `"chunks"`) {
		t.Errorf("the mirror got %s", got)
	}
}

func TestMirrorOfLongAnswers(t *testing.T) {
	endless := startBackend(t, func(w http.ResponseWriter, r *http.Request) {
		for r.Context().Err() == nil {
			_, _ = w.Write(make([]byte, 32<<10))
		}
	})
	p := startProxy(t, upstreams(startBackend(t, text("fine")).URL)+`,"mirror":[{"to":"`+endless.URL+`"}]`)
	p.get("/")
	mirrorCounts(t, endless.URL, mirrorAnswered, 1)
}

func TestMirrorSomeToAPool(t *testing.T) {
	c := startCopies(t)
	p := startProxy(t, upstreams(startBackend(t, text("fine")).URL)+`,"mirror":[{"pool":"canary","percent":25}]`,
		serverOptions{apps: `"lb":{"pools":{"canary":{` + upstreams(c.URL) + `}}}`})
	const requests = 400
	for range requests {
		p.get("/")
	}
	count := func() uint64 {
		for _, p := range runningPools() {
			if p.Name() == "canary" {
				return p.state.mirrored[mirrorAnswered].Load()
			}
		}
		return 0
	}
	eventually(t, "about a quarter", func() bool { return count() > requests/4-40 && count() < requests/4+40 })
}

func TestMirrorIsRefused(t *testing.T) {
	for config, want := range map[string]string{
		`{}`:                                      "either to an address or to a pool",
		`{"to":"127.0.0.1:1","pool":"x"}`:         "either to an address or to a pool",
		`{"pool":"nowhere"}`:                      `no pool "nowhere"`,
		`{"to":"127.0.0.1:1-3"}`:                  "not one address but 3",
		`{"to":"ftp://127.0.0.1"}`:                "none of http, https, h2c",
		`{"to":"127.0.0.1:1","percent":-1}`:       "percent -1",
		`{"to":"127.0.0.1:1","percent":100.0001}`: "percent 100.0001",
	} {
		p := &proxy{t: t, address: freeAddress(t)}
		if err := p.tryLoad(upstreams("127.0.0.1:1") + `,"mirror":[` + config + `]`); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", config, err)
		}
	}
}

func TestAccessLogTellsOfTries(t *testing.T) {
	slow, _ := hanging(t)
	p := startProxy(t, hedged("", slow.URL, startBackend(t, text("fast")).URL))
	p.get("/hedged")
	line := logLine(t, "handled request", "/hedged")
	for _, part := range []string{
		`"lb_proxy":{"pool":"`, `"tries":2`, `"retries":1`, `"hedged":"won"`, `"first_byte":`, `"total":`, `"cause":"hedged"`, `"status":200`,
		`"backend":"` + strings.TrimPrefix(slow.URL, "http://") + `"`,
	} {
		if !strings.Contains(line, part) {
			t.Errorf("no %s in %s", part, line)
		}
	}

	p.load(upstreams(deadAddress(t), deadAddress(t)))
	p.get("/dead")
	if line = logLine(t, "handled request", "/dead"); strings.Count(line, `"cause":"connect"`) != 2 {
		t.Errorf("got %s", line)
	}
	p.load(upstreams(startBackend(t, text("one")).URL))
	p.get("/one")
	if line = logLine(t, "handled request", "/one"); strings.Contains(line, "attempts") || !strings.Contains(line, `"tries":1`) {
		t.Errorf("got %s", line)
	}
}

func TestAccessLogOfQueuedRequests(t *testing.T) {
	release := make(chan struct{})
	b := startBackend(t, func(http.ResponseWriter, *http.Request) { <-release })
	p := startProxy(t, strings.Replace(upstreams(b.URL), "}", `,"max_requests":1}`, 1)+balancing(`"queue":{"size":1}`))
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() { p.get("/queued") })
	}
	eventually(t, "waiting request", func() bool { return runningPools()[0].state.queue.Len() == 1 })
	time.Sleep(time.Millisecond)
	close(release)
	wg.Wait()
	logLine(t, "handled request", `"queued":`)
}
