package caddytest

import (
	"fmt"
	"net/http"
	"net/http/cookiejar"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestFilterIP(t *testing.T) {
	b := NewBackend(t, "A")
	blocked := filepath.Join(t.TempDir(), "blocked.txt")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(blocked, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("# nobody yet\n203.0.113.0/24\n")
	config := `{
	servers {
		trusted_proxies static private_ranges
	}
}
:{$PORT} {
	handle_errors {
		respond "no: {err.status_code}"
	}
	lb_proxy {$A} {
		filter ip {
			allow 192.0.2.0/24 198.51.100.0/24
			deny file {$LIST}
			status 404
		}
	}
}`
	s := Start(t, config, map[string]string{"A": b.Addr, "LIST": blocked})
	from := func(ip string) Reply { return s.Get(s.URL("PORT", "/"), "X-Forwarded-For", ip) }
	if r := from("192.0.2.1"); r.Status != http.StatusOK {
		t.Errorf("allowed: status %d", r.Status)
	}
	if r := from("2001:db8::1"); r.Status != http.StatusNotFound || r.Body != "no: 404" {
		t.Errorf("not allowed: status %d, %s", r.Status, r.Body)
	}
	write("192.0.2.0/28\n")
	eventually(t, "the new list", func() bool { return from("192.0.2.1").Status == http.StatusNotFound })
	if r := from("192.0.2.99"); r.Status != http.StatusOK {
		t.Errorf("not in the new list: status %d", r.Status)
	}

	write("192.0.2.0/28\n\n192.0.2.0/40\n")
	s.WaitLog(t, "the bad list", func(l LogLine) bool { return strings.Contains(l.Text("error"), blocked+":3: ") })
	if r := from("192.0.2.1"); r.Status != http.StatusNotFound {
		t.Errorf("after a bad edit: status %d", r.Status)
	}
	if err := s.Reload(config); err == nil || !strings.Contains(err.Error(), blocked+":3: ") {
		t.Errorf("a bad list loads: %v", err)
	}
	if r := from("192.0.2.1"); r.Status != http.StatusNotFound {
		t.Errorf("after a reload that failed: status %d", r.Status)
	}
}

func TestFilterCanary(t *testing.T) {
	b := NewBackends(t, "old", "new")
	const config = `{
	lb_pool new {
		backend {$B}
	}
}
:{$PORT} {
	lb_proxy {$A} {
		filter canary new {
			percent %d
			header X-Canary yes
			sticky cookie place 1h
		}
	}
}`
	s := Start(t, fmt.Sprintf(config, 0), map[string]string{"A": b[0].Addr, "B": b[1].Addr})
	if r := s.Get(s.URL("PORT", "/"), "X-Canary", "yes"); r.Backend() != "new" {
		t.Errorf("who asks is served by %s", r.Backend())
	}
	clients := make([]*http.Client, 40)
	for i := range clients {
		jar, _ := cookiejar.New(nil) // it never fails without options
		clients[i] = &http.Client{Transport: s.Client.Transport, Jar: jar, Timeout: patience()}
	}
	there := make([]bool, len(clients))
	for _, percent := range []int{0, 30, 70, 100} {
		s.mustReload(fmt.Sprintf(config, percent))
		count := 0
		for i, c := range clients {
			s.Client.Jar = c.Jar
			r := s.Get(s.URL("PORT", "/"))
			if there[i] && r.Backend() != "new" {
				t.Errorf("at %d%% a client is taken back", percent)
			}
			if there[i] = r.Backend() == "new"; there[i] {
				count++
			}
		}
		if percent == 0 && count > 0 || percent == 100 && count < len(clients) {
			t.Errorf("at %d%% there are %d of %d clients", percent, count, len(clients))
		}
	}
	if err := s.Reload(strings.Replace(fmt.Sprintf(config, 1), "canary new", "canary newer", 1)); err == nil ||
		!strings.Contains(err.Error(), `there is no pool \"newer\"`) {
		t.Errorf("a pool that is not there: %v", err)
	}
}
