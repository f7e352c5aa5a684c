package caddytest

import (
	"net/http"
	"strings"
	"testing"
)

const limitedSite = `{
	metrics
}
http://127.0.0.1:{$PORT} {
	lb_proxy {$A} {
		filter rate_limit {header.X-Key} 2/h
	}
	handle_errors {
		header X-Handled {err.status_code}
		respond "later" {err.status_code}
	}
}
`

func TestRateLimitGoesToHandleErrorsAndOverReloads(t *testing.T) {
	b := NewBackend(t, "A")
	s := Start(t, limitedSite, map[string]string{"A": b.Addr})
	ask := func(key string, status int, fields ...string) {
		t.Helper()
		r := s.Get(s.URL("PORT", "/"), "X-Key", key)
		if r.Status != status {
			t.Errorf("key %q: status %d, want %d", key, r.Status, status)
		}
		for i, name := range []string{"RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset", "Retry-After", "X-Handled"}[:len(fields)] {
			if got := r.Header.Values(name); strings.Join(got, ",") != fields[i] {
				t.Errorf("key %q: %s is %q, want %q", key, name, got, fields[i])
			}
		}
	}
	ask("a", 200, "2", "1", "1800", "", "")
	s.mustReload(strings.Replace(limitedSite, "lb_proxy {$A} {", "lb_proxy {$A} {\n\t\theader_up X-Edit 1", 1))
	ask("a", 200, "2", "0")
	ask("a", 429, "2", "0", "3600", "1800", "429")
	ask("b", 200, "2", "1")
	ask("", 200, "", "", "")
	if b.Hits() != 4 {
		t.Errorf("the backend got %d requests, want 4", b.Hits())
	}
	// Another rate is another limit.
	s.mustReload(strings.Replace(limitedSite, "2/h", "3/h", 1))
	ask("a", 200, "3", "2")

	metrics := s.Admin(http.MethodGet, "/metrics", "").Body
	for _, want := range []string{
		`caddy_lb_rate_limit_total{limit="{http.request.header.X-Key} 3/h",result="allowed"} 1`,
		`caddy_lb_rate_limit_total{limit="{http.request.header.X-Key} 3/h",result="refused"} 0`,
	} {
		if !strings.Contains(metrics, want) {
			t.Errorf("the metrics lack %s", want)
		}
	}
	err := s.Reload(strings.Replace(limitedSite, "2/h", "0/h", 1))
	if err == nil || !strings.Contains(err.Error(), "Caddyfile:6") {
		t.Errorf("a rate of 0: %v", err)
	}
	ask("a", 200, "3", "1")
}

// TestRateLimitAloneWhileRedisIsAway: a Redis that never answered leaves the limit to each instance, unless it is required.
func TestRateLimitAloneWhileRedisIsAway(t *testing.T) {
	b := NewBackend(t, "A")
	shared := strings.Replace(limitedSite, "2/h", "2/h {\n\t\t\tstorage redis://127.0.0.1:{$PORT_REDIS}\n\t\t}", 1)
	s := Start(t, shared, map[string]string{"A": b.Addr})
	for i, want := range []int{200, 200, 429, 429} {
		if r := s.Get(s.URL("PORT", "/"), "X-Key", "a"); r.Status != want {
			t.Errorf("request %d: status %d, want %d", i, r.Status, want)
		}
	}
	s.WaitLog(t, "that instances limit alone", func(l LogLine) bool { return strings.Contains(l.Text("msg"), "every instance limits alone") })
	if !strings.Contains(s.Admin(http.MethodGet, "/metrics", "").Body,
		`caddy_lb_rate_limit_total{limit="{http.request.header.X-Key} 2/h",result="local_fallback"} 4`) {
		t.Error("the metrics do not tell")
	}
	if err := s.Reload(strings.Replace(shared, "storage", "required\n\t\t\tstorage", 1)); err == nil {
		t.Error("a required Redis that is away is no error")
	}
	if r := s.Get(s.URL("PORT", "/"), "X-Key", "a"); r.Status != 429 {
		t.Errorf("after the reload that failed: status %d", r.Status)
	}
}

func TestMaxInflightOfRequests(t *testing.T) {
	config := strings.Replace(limitedSite, "rate_limit {header.X-Key} 2/h", "max_inflight {header.X-Key} 2", 1)
	b := NewBackend(t, "A")
	s := Start(t, config, map[string]string{"A": b.Addr})
	release := make(chan struct{})
	b.Do(hang(release))
	statuses := make(chan int)
	for range 2 {
		go func() { statuses <- s.Get(s.URL("PORT", "/"), "X-Key", "a").Status }()
	}
	eventually(t, "two requests are under way", func() bool { return b.Hits() == 2 })
	for range 2 {
		if r := s.Get(s.URL("PORT", "/"), "X-Key", "a"); r.Status != 429 || r.Header.Get("Retry-After") != "1" || r.Body != "later" {
			t.Errorf("one too many: status %d, %v", r.Status, r.Header)
		}
		// They still count in the next configuration.
		s.mustReload(strings.Replace(config, "lb_proxy {$A} {", "lb_proxy {$A} {\n\t\theader_up X-Edit 1", 1))
	}
	close(release)
	for range 2 {
		if status := <-statuses; status != 200 {
			t.Errorf("one in time: status %d", status)
		}
	}
	for range 3 {
		eventually(t, "the places are free", func() bool { return s.Get(s.URL("PORT", "/"), "X-Key", "a").Status == 200 })
	}
}
