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
)

// resetting is a backend that reads a request with its body and then closes the connection.
func resetting(t *testing.T, tries *atomic.Int32) string {
	return rawBackend(t, func(conn net.Conn, r *bufio.Reader) {
		req, err := http.ReadRequest(r)
		if err != nil {
			return
		}
		_, _ = io.Copy(io.Discard, req.Body)
		tries.Add(1)
	})
}

func TestRetriesAfterABrokenConnection(t *testing.T) {
	for _, tc := range []struct {
		name, method, balancing string
		want                    int // status; the backends that break are two of three, in front of the one that works
		tries                   int32
	}{
		{"none configured", "GET", `{}`, 502, 1},
		{"too few", "GET", `{"retries":1}`, 502, 2},
		{"enough", "GET", `{"retries":2}`, 200, 2},
		{"as long as it takes", "GET", `{"try_duration":"1m","try_interval":"1ms"}`, 200, 2},
		{"only GET by default", "POST", `{"retries":2}`, 502, 1},
		{"method allowed", "POST", `{"retries":2,"retry_match":[{"method":["POST"]}]}`, 200, 2},
		{"method not allowed", "GET", `{"retries":2,"retry_match":[{"method":["POST"]}]}`, 502, 1},
		{"status rules leave GET alone", "GET", `{"retries":2,"retry_match":[{"expression":"{http.reverse_proxy.status_code} == 503"}]}`, 200, 2},
		{"and POST", "POST", `{"retries":2,"retry_match":[{"expression":"{http.reverse_proxy.status_code} == 503"}]}`, 502, 1},
		{"by transport error", "POST", `{"retries":2,"retry_match":[{"expression":"{http.reverse_proxy.is_transport_error} == true"}]}`, 200, 2},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var tries atomic.Int32
			good := startBackend(t, func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(w, r.Body) })
			policy := strings.Replace(tc.balancing, "{", `{"selection_policy":{"policy":"first"},`, 1)
			policy = strings.Replace(policy, ",}", "}", 1)
			p := startProxy(t, upstreams(resetting(t, &tries), resetting(t, &tries), good.URL)+`,"load_balancing":`+policy)
			var body io.Reader
			if tc.method == "POST" {
				body = strings.NewReader("the body")
			}
			r := p.send(tc.method, "/", body)
			if r.status != tc.want || tries.Load() != tc.tries {
				t.Errorf("status %d after %d broken tries, want %d after %d", r.status, tries.Load(), tc.want, tc.tries)
			}
			if tc.method == "POST" && r.status == 200 && r.body != "the body" {
				t.Errorf("the third backend got %q", r.body)
			}
		})
	}
}

func TestRetriesOnAnswers(t *testing.T) {
	match := `"retry_match":[{"expression":"{http.reverse_proxy.status_code} in [502, 503]"}]`
	bad := startBackend(t, func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(503) })
	other := startBackend(t, func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(502) })
	good := startBackend(t, func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(w, r.Body) })
	backends := upstreams(bad.URL, other.URL, good.URL) + `,"load_balancing":{"selection_policy":{"policy":"first"},`

	t.Run("until one is accepted", func(t *testing.T) {
		p := startProxy(t, backends+`"retries":3,`+match+`}`)
		if r := p.send("POST", "/", strings.NewReader("again")); r.status != 200 || r.body != "again" {
			t.Errorf("got %d %q", r.status, r.body)
		}
	})
	t.Run("the last one's status", func(t *testing.T) {
		p := startProxy(t, backends+`"retries":1,`+match+`}`)
		if r := p.get("/"); r.status != 502 {
			t.Errorf("got %d", r.status)
		}
	})
	t.Run("by header", func(t *testing.T) {
		marked := startBackend(t, func(w http.ResponseWriter, r *http.Request) { w.Header().Set("X-Again", "yes") })
		p := startProxy(t, upstreams(marked.URL, good.URL)+
			`,"load_balancing":{"selection_policy":{"policy":"first"},"retries":1,"retry_match":[{"expression":"{http.reverse_proxy.header.X-Again} == 'yes'"}]}`)
		if r := p.get("/"); r.header.Get("X-Again") != "" || marked.count() != 1 {
			t.Errorf("got the answer that was to be rejected")
		}
	})
}

// A POST whose first answer was a 502 and whose second try broke must not be sent a third time: the rule is about
// answers, and there is none.
func TestStatusOfAnEarlierTryIsForgotten(t *testing.T) {
	var tries atomic.Int32
	bad := startBackend(t, func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(502) })
	good := startBackend(t, text("sent three times"))
	p := startProxy(t, upstreams(bad.URL, resetting(t, &tries), good.URL)+`,"load_balancing":{"selection_policy":{"policy":"first"},
		"retries":5,"retry_match":[{"expression":"{http.reverse_proxy.status_code} == 502 || {http.reverse_proxy.is_transport_error} == 'never'"}]}`)
	r := p.send("POST", "/", strings.NewReader("x"))
	if r.status != 502 || tries.Load() != 1 || good.count() != 0 {
		t.Errorf("status %d, %d broken tries, %d further ones", r.status, tries.Load(), good.count())
	}
}

func TestRejectedAnswersKeepTheirConnections(t *testing.T) {
	var opened atomic.Int32
	counting := rawBackend(t, func(conn net.Conn, r *bufio.Reader) {
		opened.Add(1)
		for {
			req, err := http.ReadRequest(r)
			if err != nil {
				return
			}
			_, _ = io.Copy(io.Discard, req.Body)
			fmt.Fprintf(conn, "HTTP/1.1 503 No\r\nContent-Length: 8\r\n\r\nnot now.")
		}
	})
	good := startBackend(t, text("fine"))
	p := startProxy(t, upstreams(counting, good.URL)+`,"load_balancing":{"selection_policy":{"policy":"first"},
		"retries":1,"retry_match":[{"expression":"{http.reverse_proxy.status_code} == 503"}]}`)
	for range 20 {
		if r := p.get("/"); r.body != "fine" {
			t.Fatalf("got %d %q", r.status, r.body)
		}
	}
	if n := opened.Load(); n != 1 {
		t.Errorf("20 rejected answers took %d connections, want 1", n)
	}
}

func TestTriedBackendsAreNotTriedAgainWhileOthersRemain(t *testing.T) {
	var tries [3]atomic.Int32
	p := startProxy(t, upstreams(resetting(t, &tries[0]), resetting(t, &tries[1]), resetting(t, &tries[2]))+
		`,"load_balancing":{"selection_policy":{"policy":"random"},"retries":5}`)
	if r := p.get("/"); r.status != 502 {
		t.Errorf("status %d", r.status)
	}
	for i := range tries {
		if n := tries[i].Load(); n != 2 {
			t.Errorf("backend %d had %d of 6 tries, want 2", i, n)
		}
	}
}
