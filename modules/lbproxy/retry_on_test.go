package lbproxy

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// balancing is the JSON member load_balancing, with the policy first.
func balancing(members string) string {
	return `,"load_balancing":{"selection_policy":{"policy":"first"},` + members + `}`
}

// answering is a backend that gives every request the same status, with its body and the header X-From.
func answering(t *testing.T, status int, name string) *backend {
	return startBackend(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("X-From", name)
		w.WriteHeader(status)
		_, _ = io.WriteString(w, name)
	})
}

func TestRetryOn(t *testing.T) {
	for _, tc := range []struct {
		name, method, options string
		first, second         int // statuses of the backends; 0 breaks the connection
		want                  int
		tries                 int
	}{
		{"a status", "GET", `"retry_on":["503"]`, 503, 200, 200, 2},
		{"another status", "GET", `"retry_on":["503"]`, 502, 200, 502, 1},
		{"below 500", "GET", `"retry_on":["429"]`, 429, 200, 200, 2},
		{"gateway", "GET", `"retry_on":["gateway"]`, 504, 200, 200, 2},
		{"gateway is not 500", "GET", `"retry_on":["gateway"]`, 500, 200, 500, 1},
		{"5xx", "PUT", `"retry_on":["5xx"]`, 500, 200, 200, 2},
		{"POST was done once", "POST", `"retry_on":["5xx"]`, 500, 200, 500, 1},
		{"POST if asked for", "POST", `"retry_on":["5xx","non_idempotent"]`, 500, 200, 200, 2},
		{"reset", "DELETE", `"retry_on":["reset"]`, 0, 200, 200, 2},
		{"no reset", "GET", `"retry_on":["5xx"]`, 0, 200, 502, 1},
		{"POST after a reset", "POST", `"retry_on":["reset"]`, 0, 200, 502, 1},
		{"once only", "GET", `"retry_on":["5xx"]`, 503, 503, 503, 2},
		{"beside lb_retry_match", "GET", `"retry_on":["503"],"retries":1,"retry_match":[{"method":["GET"]}]`, 0, 200, 200, 2},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var broken atomic.Int32
			first, second := resetting(t, &broken), answering(t, tc.second, "second")
			one := &backend{}
			if tc.first != 0 {
				one = answering(t, tc.first, "first")
				first = one.URL
			}
			p := startProxy(t, upstreams(first, second.URL)+balancing(tc.options))
			var body io.Reader
			if tc.method == "POST" || tc.method == "PUT" {
				body = strings.NewReader("the body")
			}
			r := p.send(tc.method, "/", body)
			if n := one.count() + int(broken.Load()) + second.count(); r.status != tc.want || n != tc.tries {
				t.Errorf("status %d after %d tries, want %d after %d", r.status, n, tc.want, tc.tries)
			}
		})
	}
}

// An answer that is to be tried again is the client's when nobody gives a better one.
func TestRetryOnKeepsTheAnswer(t *testing.T) {
	const members = `"retry_on":["503"]`
	t.Run("no retries left", func(t *testing.T) {
		p := startProxy(t, upstreams(answering(t, 503, "first").URL, answering(t, 503, "second").URL)+balancing(members))
		if r := p.get("/"); r.status != 503 || r.body != "second" || r.header.Get("X-From") != "second" {
			t.Errorf("got %d %q", r.status, r.body)
		}
	})
	t.Run("nobody left", func(t *testing.T) {
		// The only backend is full while its answer is held, but for the place that the answer gave up.
		only := answering(t, 503, "only")
		p := startProxy(t, strings.Replace(upstreams(only.URL), "}", `,"max_requests":1}`, 1)+balancing(members+`,"retries":2`))
		if r := p.get("/"); r.status != 503 || r.body != "only" || only.count() != 3 {
			t.Errorf("got %d %q after %d tries", r.status, r.body, only.count())
		}
		eventually(t, "free place", func() bool { return runningPools()[0].Snapshot().Members[0].Active() == 0 })
	})
	t.Run("the others are down", func(t *testing.T) {
		p := startProxy(t, upstreams(answering(t, 503, "first").URL, deadAddress(t))+balancing(members))
		if r := p.get("/"); r.status != 502 {
			t.Errorf("got %d: the answer was given up for a try that was made", r.status)
		}
	})
	t.Run("the body cannot be sent again", func(t *testing.T) {
		second := answering(t, 200, "second")
		p := startProxy(t, upstreams(answering(t, 503, "first").URL, second.URL)+balancing(members))
		if r := p.send("PUT", "/", strings.NewReader(strings.Repeat("x", keepBytes+1))); r.status != 503 || r.body != "first" {
			t.Errorf("got %d %q", r.status, r.body)
		}
	})
	t.Run("the body is still being sent", func(t *testing.T) {
		second := answering(t, 200, "second")
		early := rawBackend(t, func(conn net.Conn, r *bufio.Reader) {
			readHead(t, r)
			_, _ = io.WriteString(conn, "HTTP/1.1 503 Early\r\nContent-Length: 0\r\n\r\n")
			_, _ = io.Copy(io.Discard, r)
		})
		p := startProxy(t, upstreams(early, second.URL)+balancing(members))
		_, answer := p.raw("PUT / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 100\r\n\r\nthe beginning")
		if head := readHead(t, answer); !strings.HasPrefix(head, "HTTP/1.1 503") || second.count() != 0 {
			t.Errorf("got %q, and the second backend %d requests", head, second.count())
		}
	})
	t.Run("a large one", func(t *testing.T) {
		long := strings.Repeat("long ", drainBytes)
		p := startProxy(t, upstreams(startBackend(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "60")
			w.WriteHeader(503)
			_, _ = io.WriteString(w, long)
		}).URL)+balancing(members+`,"retries":3,"retry_backoff":{"base":1000000}`))
		if r := p.get("/"); r.status != 503 || r.body != long {
			t.Errorf("got %d and %d bytes", r.status, len(r.body))
		}
	})
}

func TestHeldBodyIsRead(t *testing.T) {
	src, backend := io.Pipe()
	b := holdBody(src)
	part := make([]byte, 100)
	for _, s := range []string{"the beginning", "and more"} {
		_, _ = io.WriteString(backend, s)
		if n, err := b.Read(part); string(part[:n]) != s || err != nil {
			t.Errorf("read %q, %v, want %q", part[:n], err, s)
		}
	}
	long := strings.Repeat("0123456789", drainBytes/5)
	go func() {
		_, _ = io.WriteString(backend, long)
		backend.CloseWithError(io.ErrUnexpectedEOF)
	}()
	got, err := io.ReadAll(b)
	if string(got) != long || err != io.ErrUnexpectedEOF {
		t.Errorf("read %d bytes of %d, %v", len(got), len(long), err)
	}
	<-b.done
}

func TestAnswersTriedAgainKeepTheirConnections(t *testing.T) {
	var opened atomic.Int32
	counting := rawBackend(t, func(conn net.Conn, r *bufio.Reader) {
		opened.Add(1)
		for {
			if _, err := http.ReadRequest(r); err != nil {
				return
			}
			fmt.Fprintf(conn, "HTTP/1.1 503 No\r\nContent-Length: 8\r\n\r\nnot now.")
		}
	})
	p := startProxy(t, upstreams(counting, startBackend(t, text("fine")).URL)+balancing(`"retry_on":["503"]`))
	for range 20 {
		if r := p.get("/"); r.body != "fine" {
			t.Fatalf("got %d %q", r.status, r.body)
		}
	}
	if n := opened.Load(); n != 1 {
		t.Errorf("20 answers took %d connections, want 1", n)
	}
}

func TestRetryAfterIsHonoured(t *testing.T) {
	busy := func(after string) http.HandlerFunc {
		var n atomic.Int32
		return func(w http.ResponseWriter, _ *http.Request) {
			if n.Add(1) == 1 {
				w.Header().Set("Retry-After", after)
				w.WriteHeader(503)
			}
			_, _ = io.WriteString(w, "here")
		}
	}
	t.Run("another backend is asked at once", func(t *testing.T) {
		p := startProxy(t, upstreams(startBackend(t, busy("600")).URL, startBackend(t, text("other")).URL)+balancing(`"retry_on":["503"]`))
		if r := p.get("/"); r.body != "other" {
			t.Errorf("got %d %q", r.status, r.body)
		}
	})
	t.Run("it is waited for within lb_try_duration", func(t *testing.T) {
		began := time.Now()
		p := startProxy(t, upstreams(startBackend(t, busy("1")).URL)+balancing(`"retry_on":["503"],"try_duration":"8s","retry_backoff":{"base":1000}`))
		if r := p.get("/"); r.status != 200 || time.Since(began) < time.Second {
			t.Errorf("got %d after %v", r.status, time.Since(began))
		}
	})
	t.Run("and not beyond", func(t *testing.T) {
		only := startBackend(t, busy("600"))
		p := startProxy(t, upstreams(only.URL)+balancing(`"retry_on":["503"],"try_duration":"8s"`))
		if r := p.get("/"); r.status != 503 || r.header.Get("Retry-After") != "600" || only.count() != 1 {
			t.Errorf("got %d after %d tries", r.status, only.count())
		}
	})
	t.Run("those who asked for nothing are asked again first", func(t *testing.T) {
		first := startBackend(t, busy("600"))
		second := answering(t, 503, "second")
		p := startProxy(t, upstreams(first.URL, second.URL)+balancing(`"retry_on":["503"],"retries":4`))
		if r := p.get("/"); r.status != 503 || first.count() != 1 || second.count() != 4 {
			t.Errorf("got %d after %d and %d tries", r.status, first.count(), second.count())
		}
	})
}

func TestRetryOnWords(t *testing.T) {
	for words, want := range map[string]string{
		"sometimes":      "none of the conditions",
		"199":            "none of the conditions",
		"600":            "none of the conditions",
		"non_idempotent": "no condition",
	} {
		if _, err := parseRetryOn(strings.Fields(words)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", words, err)
		}
	}
	if on, err := parseRetryOn(nil); on != nil || err != nil {
		t.Error("no words are no conditions")
	}
}

func TestBackoff(t *testing.T) {
	var ceilings []time.Duration
	b := backoff{base: 20 * time.Millisecond, max: 100 * time.Millisecond, jitter: func(n int64) int64 {
		ceilings = append(ceilings, time.Duration(n-1))
		return n / 2
	}}
	for retries := range 6 {
		if d := b.wait(retries); d != (ceilings[retries]+1)/2 {
			t.Errorf("wait %v of at most %v", d, ceilings[retries])
		}
	}
	b.wait(1000)
	ms := time.Millisecond
	for i, want := range []time.Duration{20 * ms, 40 * ms, 80 * ms, 100 * ms, 100 * ms, 100 * ms, 100 * ms} {
		if ceilings[i] != want {
			t.Errorf("at most %v before retry %d, want %v", ceilings[i], i+1, want)
		}
	}
}
